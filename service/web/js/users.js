/** Users: choose, create, export, import, erase. */

import { TIME_ZONE_HEADER, of } from "./api.js";
import { confirmed, line } from "./dialogs.js";
import { button, byId, fill, make } from "./elements.js";
import { note, noting } from "./notes.js";
import { count, size, useTimeZone } from "./formatting.js";

const REMEMBERED = "onionskin.user";
const PAGE = 200;

/** @param {object} app */
export function createUsers(app) {
  const { api, store } = app;

  async function load() {
    const { about } = store.get();
    if (about.caller.user_id !== null) return store.set({ users: [about.caller.user_id] });
    const users = [];
    for (let cursor = ""; cursor !== null && users.length < 5 * PAGE;) {
      const page = await api.get(`/v1/users?${new URLSearchParams({ limit: String(PAGE), cursor })}`);
      users.push(...page.users.map((one) => one.user_id));
      cursor = page.next_cursor;
    }
    return store.set({ users });
  }

  /** The user that was chosen before, if it still exists. */
  function remembered() {
    const { users } = store.get();
    const before = sessionStorage.getItem(REMEMBERED);
    return users.includes(before) ? before : (users[0] ?? "me");
  }

  async function choose(user) {
    sessionStorage.setItem(REMEMBERED, user);
    await app.leaveComparison();
    const known = store.get().users;
    store.set({ user, users: known.includes(user) ? known : [...known, user].sort(), sessions: [], session: null, messages: [], pending: null, inspected: null, turns: new Map() });
    app.conversation.open(null);
    await Promise.all([timeZone(user), app.sessions.load()]);
    const { sessions, session, pending, user: now } = store.get();
    const last = sessions.find((one) => !one.closed);
    const isIdle = now === user && !session && !pending; // a message sent in between keeps its session
    if (last && isIdle) await app.conversation.open(last);
    await figures();
  }

  /** Show times in the user's zone. Without one, show the browser's, and name it in requests. */
  async function timeZone(user) {
    const browsers = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const settings = (headers) => api.get(of(user, "settings"), { headers }).catch(() => null);
    api.setTimeZone(null);
    const stored = (await settings({}))?.timezone;
    const isKnown = !stored && browsers && (await settings({ [TIME_ZONE_HEADER]: browsers }));
    if (user !== store.get().user) return;
    api.setTimeZone(isKnown ? browsers : null);
    useTimeZone(stored);
    store.set({ timeZone: stored ?? browsers ?? null });
  }

  async function figures() {
    const { user } = store.get();
    const stats = await api.get(of(user, "stats")).catch(() => null);
    if (user === store.get().user) store.set({ figures: stats });
  }

  async function add() {
    const name = await line({ title: "A new user", label: "User id", save: "Create", hint: "Nothing is stored of a user before the first message." });
    if (name) await choose(name);
  }

  async function take() {
    const { user } = store.get();
    const response = await api.respond("GET", of(user, "export"));
    const link = make("a", { download: `${user}.jsonl`, href: URL.createObjectURL(await response.blob()) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  async function restore(file) {
    const { user } = store.get();
    const response = await api.respond("POST", of(user, "import"), { raw: file, headers: { "Content-Type": "application/x-ndjson" } });
    const done = await response.json();
    note(`${count(done.messages, "message")} and ${count(done.memories, "memory", "memories")} imported.`);
    await load();
    await choose(user);
  }

  async function erase() {
    const { user } = store.get();
    const text = `Every message, summary, memory and vector of “${user}” is deleted permanently. This cannot be undone.`;
    if (!(await confirmed("Erase this user?", text, "Erase everything"))) return;
    await app.abandonComparison();
    const receipt = await api.remove(of(user));
    note(`Erased: ${count(receipt.messages, "message")}, ${count(receipt.memories, "memory", "memories")}. Receipt ${receipt.receipt_id}.`);
    sessionStorage.removeItem(REMEMBERED);
    await load();
    await choose(remembered());
  }

  store.watch(["session"], ({ session, user }) => {
    if (user && session) figures();
  });

  const file = make("input", { type: "file", accept: ".jsonl,.ndjson,application/x-ndjson", class: "visually-hidden", tabindex: "-1", "aria-label": "File to import", id: "import-file" });
  file.addEventListener("change", () => {
    const [chosen] = file.files;
    if (chosen) noting(() => restore(chosen)).finally(() => { file.value = ""; });
  });

  store.watch(["users", "user", "figures", "timeZone"], ({ users, user, figures: stats, about, timeZone: zone }) => {
    const isOne = about?.caller.user_id !== null;
    fill(byId("user"),
      make("div", { class: "spread" },
        make("h2", { id: "user-title", class: "eyebrow" }, "User"),
        isOne ? null : button("New user", () => noting(add), { class: "plain small", id: "new-user" })),
      make("select", { id: "user-choice", "aria-label": "User", disabled: users.length < 2 && isOne, on: { change: (event) => noting(() => choose(event.target.value)) } },
        users.map((one) => make("option", { value: one, selected: one === user }, one))),
      stats ? make("p", { class: "hint figures" }, `${count(stats.messages, "message")} · ${count(stats.memories, "memory", "memories")} · ${size(stats.size_bytes)}`) : null,
      zone ? make("p", { class: "hint time-zone" }, `Times in ${zone}`) : null,
      user ? make("div", { class: "row user-actions" },
        button("Export", () => noting(take), { class: "quiet small" }),
        button("Import", () => file.click(), { class: "quiet small" }),
        button("Erase", () => noting(erase), { class: "quiet danger small" }), file) : null);
  });

  return { load, choose, figures, remembered };
}

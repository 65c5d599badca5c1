/** The user's sessions: create, switch, rename, fork, close, delete. */

import { of } from "./api.js";
import { confirmed, line } from "./dialogs.js";
import { button, byId, fill, make } from "./elements.js";
import { note, noting } from "./notes.js";
import { ago, count, titleOf } from "./formatting.js";

const PAGE = 50;
const FORK = /^Fork of /;

/** @param {object} app */
export function createSessions(app) {
  const { api, store } = app;
  const path = (...parts) => of(store.get().user, "sessions", ...parts);
  let next = null;

  async function load({ more = false } = {}) {
    const { user } = store.get();
    if (!user) return store.set({ sessions: [] });
    const query = new URLSearchParams({ limit: String(PAGE), ...(more && next ? { cursor: next } : {}) });
    const page = await api.get(`${path()}?${query}`);
    if (user !== store.get().user) return undefined;
    next = page.next_cursor;
    return store.set({ sessions: more ? [...store.get().sessions, ...page.sessions] : page.sessions });
  }

  /** Open another session; messages sent before it is open wait for it. */
  async function openWith(work) {
    const moving = work();
    store.set({ moving });
    try {
      return await moving;
    } finally {
      if (store.get().moving === moving) store.set({ moving: null });
    }
  }

  /** Abort if another user was chosen during the request. */
  function requireUser(user) {
    if (user !== store.get().user) throw new DOMException("Another user was chosen.", "AbortError");
  }

  const open = (session) => openWith(async () => {
    await app.leaveComparison();
    await app.conversation.open(session);
    app.panes.show("talk");
  });

  const begin = (profile = store.get().profile) => openWith(async () => {
    const { user } = store.get();
    const { session } = await api.post(path(), { profile });
    await load();
    requireUser(user);
    await open(session);
    app.composer.focus();
    return session;
  });

  const fork = (messages = null) => openWith(async () => {
    const { user, session, profile } = store.get();
    const copy = await api.post(path(session.session_id, "fork"), { messages, profile });
    requireUser(user);
    const named = await api.patch(path(copy.session_id), { title: `Fork of ${titleOf(session).replace(FORK, "")}`.slice(0, 256) });
    await load();
    requireUser(user);
    await open(named);
    note("This is an independent copy; the original does not change.");
  });

  async function rename(session) {
    const title = await line({ title: "Rename the session", label: "Title", value: titleOf(session) });
    if (!title) return;
    changed(await api.patch(path(session.session_id), { title }));
  }

  async function close(session) {
    changed(await api.post(path(session.session_id, "close")));
    note("Closed: it is summarized completely, and later sessions start from it.");
  }

  async function remove(session) {
    const text = `“${titleOf(session)}” is deleted with ${count(session.messages, "message")}, its summary, and their recall.`;
    if (!(await confirmed("Delete this session?", text, "Delete"))) return;
    await api.remove(path(session.session_id));
    await load();
    if (store.get().session?.session_id === session.session_id) await app.conversation.open(store.get().sessions[0] ?? null);
  }

  function changed(session) {
    const { sessions, session: open } = store.get();
    store.set({
      sessions: sessions.map((one) => (one.session_id === session.session_id ? session : one)),
      session: open?.session_id === session.session_id ? session : open,
    });
  }

  const actions = (session) => make("div", { class: "row session-actions" },
    button("Rename", () => noting(() => rename(session)), { class: "quiet small" }),
    button("Fork", () => noting(() => fork()), { class: "quiet small", disabled: !session.messages }),
    session.closed ? null : button("Close", () => noting(() => close(session)), { class: "quiet small" }),
    button("Delete", () => noting(() => remove(session)), { class: "quiet danger small" }));

  function item(session, isOpen) {
    const summarized = session.messages ? session.folded_upto / session.messages : 0;
    return make("li", { class: "session", "data-open": isOpen ? "true" : null },
      button([
        make("span", { class: "session-title" }, titleOf(session)),
        make("span", { class: "session-meta" }, `${count(session.messages, "message")} · ${ago(session.active)}${session.closed ? " · closed" : ""}`),
        make("span", { class: "bar thin", "aria-hidden": "true" },
          summarized ? make("span", { class: "fill", "data-layer": "summary", css: { "--share": String(summarized) } }) : null,
          summarized < 1 && session.messages ? make("span", { class: "fill", "data-layer": "window", css: { "--share": String(1 - summarized) } }) : null),
      ], () => noting(() => open(session)), { class: "session-open", id: `open-${session.session_id}`, "aria-current": isOpen ? "true" : null }),
      isOpen ? actions(session) : null);
  }

  store.watch(["sessions", "session", "user"], ({ sessions, session, user }) => {
    const listed = sessions.map((one) => (one.session_id === session?.session_id ? session : one));
    fill(byId("sessions"),
      make("div", { class: "spread" },
        make("h2", { id: "sessions-title", class: "eyebrow" }, "Sessions"),
        button("New session", () => noting(() => begin()), { class: "plain small", id: "new-session", disabled: !user })),
      listed.length
        ? make("ul", { class: "session-list" }, listed.map((one) => item(one, one.session_id === session?.session_id)))
        : make("p", { class: "hint" }, user ? "None yet. The first message starts one." : ""),
      next ? button("Older ones", () => noting(() => load({ more: true })), { class: "quiet small", id: "older" }) : null);
  });

  return {
    load, begin, fork, open, close,
    find: (sessionId) => api.get(path(sessionId)).catch(() => null),
  };
}

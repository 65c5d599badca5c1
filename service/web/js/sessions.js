/** The user's sessions: begin, switch, rename, fork, close, delete. */

import { of } from "./api.js";
import { confirmed, line } from "./dialogs.js";
import { button, byId, fill, make } from "./elements.js";
import { note, noting } from "./notes.js";
import { ago, count, titleOf } from "./words.js";

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

  /** Go to another session; what is sent on the way waits, and is said there. */
  async function going(there) {
    const moving = there();
    store.set({ moving });
    try {
      return await moving;
    } finally {
      if (store.get().moving === moving) store.set({ moving: null });
    }
  }

  /** Whoever speaks as somebody else by now does not go where the one before wanted to. */
  function stayed(user) {
    if (user !== store.get().user) throw new DOMException("Another user was chosen.", "AbortError");
  }

  const open = (session) => going(async () => {
    await app.leaveComparison();
    await app.conversation.open(session);
    app.panes.show("talk");
  });

  const begin = (profile = store.get().profile) => going(async () => {
    const { user } = store.get();
    const { session } = await api.post(path(), { profile });
    await load();
    stayed(user);
    await open(session);
    app.composer.focus();
    return session;
  });

  const fork = (messages = null) => going(async () => {
    const { user, session, profile } = store.get();
    const copy = await api.post(path(session.session_id, "fork"), { messages, profile });
    stayed(user);
    const named = await api.patch(path(copy.session_id), { title: `Fork of ${titleOf(session).replace(FORK, "")}`.slice(0, 256) });
    await load();
    stayed(user);
    await open(named);
    note("This is a copy: it goes on by itself, the original stays as it is.");
  });

  async function rename(session) {
    const title = await line({ title: "Rename the session", label: "Title", value: titleOf(session) });
    if (!title) return;
    changed(await api.patch(path(session.session_id), { title }));
  }

  async function close(session) {
    changed(await api.post(path(session.session_id, "close")));
    note("Closed: it is folded whole, and later sessions take it up.");
  }

  async function remove(session) {
    const text = `“${titleOf(session)}” goes with ${count(session.messages, "message")}, its summary, and all recall of them.`;
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

  const deeds = (session) => make("div", { class: "row session-deeds" },
    button("Rename", () => noting(() => rename(session)), { class: "quiet small" }),
    button("Fork", () => noting(() => fork()), { class: "quiet small", disabled: !session.messages }),
    session.closed ? null : button("Close", () => noting(() => close(session)), { class: "quiet small" }),
    button("Delete", () => noting(() => remove(session)), { class: "quiet grave small" }));

  function item(session, isOpen) {
    const folded = session.messages ? session.folded_upto / session.messages : 0;
    return make("li", { class: "session", "data-open": isOpen ? "true" : null },
      button([
        make("span", { class: "session-title" }, titleOf(session)),
        make("span", { class: "session-meta" }, `${count(session.messages, "message")} · ${ago(session.active)}${session.closed ? " · closed" : ""}`),
        make("span", { class: "bar thin", "aria-hidden": "true" },
          folded ? make("span", { class: "rock", "data-layer": "summary", css: { "--share": String(folded) } }) : null,
          folded < 1 && session.messages ? make("span", { class: "rock", "data-layer": "window", css: { "--share": String(1 - folded) } }) : null),
      ], () => noting(() => open(session)), { class: "session-open", id: `open-${session.session_id}`, "aria-current": isOpen ? "true" : null }),
      isOpen ? deeds(session) : null);
  }

  store.watch(["sessions", "session", "user"], ({ sessions, session, user }) => {
    const listed = sessions.map((one) => (one.session_id === session?.session_id ? session : one));
    fill(byId("sessions"),
      make("div", { class: "spread" },
        make("h2", { id: "sessions-title", class: "eyebrow" }, "Sessions"),
        button("New session", () => noting(() => begin()), { class: "plain small", id: "new-session", disabled: !user })),
      listed.length
        ? make("ul", { class: "session-list" }, listed.map((one) => item(one, one.session_id === session?.session_id)))
        : make("p", { class: "hint" }, user ? "None yet. The first message begins one." : ""),
      next ? button("Older ones", () => noting(() => load({ more: true })), { class: "quiet small", id: "older" }) : null);
  });

  return {
    load, begin, fork, open, close,
    find: (sessionId) => api.get(path(sessionId)).catch(() => null),
  };
}

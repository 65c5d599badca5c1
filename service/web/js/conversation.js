/** The open session: open it, send messages, load stored messages. */

import { of } from "./api.js";
import { noting, speak } from "./notes.js";
import { newKey, sendTurn } from "./turn_request.js";
import { beginning } from "./formatting.js";

const PAGE = 200;
const SUMMARY_POLLS_MS = [400, 1200, 3000, 8000, 20_000];

/** @param {object} app `api` and `store` */
export function createConversation({ api, store }) {
  let visit = 0; // counts opened sessions: late results of another session are ignored
  let stopping = null;

  async function open(session, { profile } = {}) {
    visit += 1;
    const chosen = profile ?? (session?.profile || store.get().about.default_profile);
    store.set({ session, messages: [], pending: null, profile: chosen, inspected: null, shown: null });
    if (!session?.messages) return;
    const mine = visit;
    const start = Math.max(0, session.messages - PAGE);
    const messages = await read(session, start, session.messages);
    if (mine === visit) store.set({ messages, inspected: lastTurn(messages) });
  }

  /** Messages of a session from `start` to `end`, exclusive. */
  async function read(session, start, end) {
    const loaded = [];
    while (start < end) {
      const query = new URLSearchParams({ cursor: String(start), limit: String(Math.min(PAGE, end - start)) });
      const page = await api.get(`${of(store.get().user, "sessions", session.session_id, "messages")}?${query}`);
      if (!page.messages.length) break;
      loaded.push(...page.messages);
      start += page.messages.length;
    }
    return loaded;
  }

  /** Load earlier messages until a position is displayed. */
  async function reach(position) {
    const { session, messages } = store.get();
    const first = messages[0]?.position ?? session.messages;
    if (position >= first) return;
    const start = Math.max(0, Math.min(position - 10, first - PAGE));
    store.set({ messages: [...(await read(session, start, first)), ...messages] });
  }

  async function say(message, key = newKey()) {
    const mine = visit;
    const { user, session, profile } = store.get();
    const pending = { message, key, reply: "", status: "waiting", problem: "" };
    const here = (changes) => mine === visit && store.set({ pending: Object.assign(pending, changes) && { ...pending } });
    stopping = new AbortController();
    here({});
    try {
      const turn = { user_id: user, message, profile, session_id: session?.session_id ?? null };
      const onEvent = (event, data) => {
        if (event === "memory" && mine === visit) store.set({ shown: data.memory });
        if (event === "token") here({ status: "answering", reply: pending.reply + data.text });
      };
      const answer = await sendTurn(api, turn, { key, signal: stopping.signal, onEvent });
      if (mine === visit) await showStored(answer, mine);
      speak(`Answer: ${answer.reply || pending.reply}`);
      return answer;
    } catch (error) {
      const wasStopped = error.name === "AbortError";
      here({ status: wasStopped ? "stopped" : "failed", problem: wasStopped ? "" : error.message });
      return null;
    }
  }

  async function showStored(answer, mine) {
    const { user, messages } = store.get();
    const session = await api.get(of(user, "sessions", answer.session_id));
    const known = messages.length ? messages.at(-1).position + 1 : 0;
    const fresh = await read(session, known, session.messages);
    if (mine !== visit) return;
    const turns = new Map(store.get().turns).set(answer.turn_id, { usage: answer.usage, layers: store.get().shown });
    store.set({ session, messages: [...messages, ...fresh], pending: null, inspected: answer.turn_id, turns });
    if (!session.title) await name(session, fresh[0]);
    watchSummary(answer.session_id, mine);
  }

  async function name(session, first) {
    if (!first) return;
    const named = await noting(() => api.patch(of(store.get().user, "sessions", session.session_id), { title: beginning(first.content) }));
    if (named && store.get().session?.session_id === named.session_id) store.set({ session: named });
  }

  /** The summary is updated after the answer: poll for the change. */
  function watchSummary(sessionId, mine) {
    for (const pause of SUMMARY_POLLS_MS) setTimeout(() => refresh(sessionId, mine), pause);
  }

  async function refresh(sessionId, mine = visit) {
    if (mine !== visit || store.get().pending) return;
    const session = await api.get(of(store.get().user, "sessions", sessionId)).catch(() => null);
    if (session && mine === visit && session.folded_upto !== store.get().session.folded_upto) store.set({ session });
  }

  return {
    open, say, read, reach, refresh,
    stop: () => stopping?.abort(),
    retry() {
      const { pending } = store.get();
      return pending ? say(pending.message, pending.key) : null;
    },
    discard() {
      const { message } = store.get().pending;
      store.set({ pending: null, shown: null });
      return message;
    },
  };
}

/** The id of the turn that an answer belongs to. */
export function turnOf(message) {
  return `${message.session_id}.${message.position - 1}`;
}

function lastTurn(messages) {
  const last = messages.findLast((one) => one.role === "assistant" && one.position > 0);
  return last ? turnOf(last) : null;
}

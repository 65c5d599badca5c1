/** The messages, with the boundary between summary (above) and window (below). */

import { bar } from "./charts.js";
import { turnOf } from "./conversation.js";
import { button, byId, fill, make } from "./elements.js";
import { autoscroll } from "./autoscroll.js";
import { noting } from "./notes.js";
import { clock, count, number } from "./formatting.js";

/** @param {object} app */
export function showTranscript(app) {
  const root = byId("transcript");
  const { store } = app;
  const list = make("ol", { class: "messages" });
  const coming = make("div", { class: "coming" });
  const end = autoscroll(root);
  let before = { session: null, length: 0 };

  store.watch(["session", "messages", "turns", "inspected", "user"], () => {
    const { session, messages } = store.get();
    const isEmpty = !messages.length && !store.get().pending;
    fill(list, isEmpty ? null : lines(app));
    fill(root, isEmpty ? welcome(app) : [earlier(app), list], coming);
    const grown = session?.session_id !== before.session || messages.length > before.length;
    before = { session: session?.session_id, length: messages.length };
    if (grown) end.toEnd();
  });

  store.watch(["pending"], ({ pending, messages }) => {
    if (pending && !messages.length) fill(root, list, coming);
    fill(coming, pending ? pendingTurn(app, pending) : null);
    if (pending && (end.isFollowed() || pending.status === "waiting")) end.toEnd();
  });
}

/** Scroll to a message and focus it. */
export async function jump(app, messageId) {
  const [sessionId, position] = messageId.split(":");
  const { session, sessions } = app.store.get();
  if (session?.session_id !== sessionId) {
    const other = sessions.find((one) => one.session_id === sessionId) ?? (await app.sessions.find(sessionId));
    if (!other) return;
    await app.conversation.open(other);
  }
  await app.conversation.reach(Number(position));
  app.panes.show("talk");
  const line = byId(`m-${position}`);
  if (!line) return;
  line.scrollIntoView({ block: "center" });
  line.focus({ preventScroll: true });
  line.classList.remove("found");
  requestAnimationFrame(() => line.classList.add("found"));
}

function lines(app) {
  const { session, messages, inspected } = app.store.get();
  const boundary = session?.folded_upto ?? 0;
  const items = [];
  for (const message of messages) {
    if (message.position === boundary && boundary > 0) items.push(summaryBoundary(session));
    items.push(messageItem(app, message, { boundary, isInspected: turnOf(message) === inspected }));
  }
  if (boundary > 0 && messages.at(-1)?.position === boundary - 1) items.push(summaryBoundary(session));
  return items;
}

function messageItem(app, message, { boundary, isInspected }) {
  const layer = message.position < boundary ? "summary" : "window";
  const isAnswer = message.role === "assistant";
  const who = message.author ?? (isAnswer ? "Onionskin" : "You");
  return make("li", {
    class: "message", id: `m-${message.position}`, tabindex: "-1", "data-role": message.role,
    "data-layer": layer, "data-inspected": isInspected && isAnswer ? "true" : null,
  },
    make("p", { class: "who" }, make("b", {}, who), make("time", { datetime: message.time }, clock(message.time)),
      message.interrupted ? make("span", { class: "chip" }, "interrupted") : null),
    make("div", { class: "text" }, message.content),
    isAnswer && message.position > 0 ? messageActions(app, message) : null);
}

function messageActions(app, message) {
  const turn = turnOf(message);
  const known = app.store.get().turns.get(turn);
  const tokens = known?.layers?.reduce((sum, one) => sum + one.tokens, 0) ?? 0;
  const detail = known ? `${number(tokens)} tokens of memory` : message.profile ? "what it was shown" : "What it was shown";
  const label = message.profile ? `${message.profile}, ${detail}` : detail;
  return make("div", { class: "actions" },
    button([tokens ? bar(known.layers, "thin") : null, make("span", {}, label)], () => app.inspect(turn),
      { class: "quiet small inspect", "aria-label": known ? `What it was shown: ${label}` : null }),
    button("Fork here", () => noting(() => app.sessions.fork(message.position + 1)), { class: "quiet small" }));
}

function summaryBoundary(session) {
  return make("li", { class: "summary-boundary" },
    make("details", {},
      make("summary", {}, make("span", { class: "wave", "aria-hidden": "true" }),
        make("span", { class: "summary-boundary-label" }, `${count(session.folded_upto, "message")} above are summarized`),
        make("span", { class: "wave", "aria-hidden": "true" })),
      make("p", { class: "text" }, session.summary || "The summary is empty.")));
}

function earlier(app) {
  const first = app.store.get().messages[0]?.position ?? 0;
  if (!first) return null;
  return make("p", { class: "earlier" }, button(`Show ${number(first)} earlier`, () => noting(() => app.conversation.reach(0)), { class: "plain small" }));
}

function pendingTurn(app, pending) {
  const isOver = pending.status === "stopped" || pending.status === "failed";
  const reason = pending.status === "stopped" ? "Stopped. Your message is kept; try again to replace it." : pending.problem;
  return make("div", { class: "pending", "data-status": pending.status },
    make("div", { class: "message", "data-role": "user", "data-layer": "window" }, make("p", { class: "who" }, make("b", {}, "You")), make("div", { class: "text" }, pending.message)),
    make("div", { class: "message", "data-role": "assistant", "data-layer": "window" },
      make("p", { class: "who" }, make("b", {}, "Onionskin")),
      make("div", { class: "text" }, pending.reply, isOver ? null : make("span", { class: "caret", "aria-hidden": "true" })),
      isOver ? make("p", { class: "hint", role: "alert" }, reason) : null,
      isOver ? make("div", { class: "row" },
        button("Try again", () => app.conversation.retry(), { class: "solid small" }),
        button("Edit", () => app.composer.put(app.conversation.discard()), { class: "plain small" })) : null));
}

function welcome(app) {
  const { user, session, sessions, about } = app.store.get();
  if (!user) return make("div", { class: "welcome" }, make("h2", {}, "Whose memory?"), make("p", { class: "hint" }, "Choose a user, or create one."));
  const earlierOnes = sessions.filter((one) => one.session_id !== session?.session_id && one.messages).length;
  const layers = about.profiles.find((one) => one.name === app.store.get().profile)?.layers ?? [];
  return make("div", { class: "welcome" },
    make("div", { class: "layer-preview", "aria-hidden": "true" }, ["window", "summary", "facts", "vector"].map((layer) => make("i", { class: "fill", "data-layer": layer, "data-off": layers.includes(layer) || layers.includes("classic") ? null : "true" }))),
    make("h2", {}, session?.closed ? "This session is empty" : "Say something worth remembering"),
    make("p", { class: "hint" }, earlierOnes
      ? `This session starts from the summaries of ${count(earlierOnes, "earlier session")}. Ask about them.`
      : "Then start another session, and ask. The inspector shows the prompt, layer by layer."));
}

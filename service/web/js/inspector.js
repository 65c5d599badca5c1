/** The prompt of an answer: one bar of tokens, then layer by layer. */

import { of } from "./api.js";
import { bar } from "./charts.js";
import { byId, fill, make } from "./elements.js";
import { layerSection } from "./layers.js";
import { clock, number } from "./formatting.js";

/** @param {object} app */
export function showInspector(app) {
  const { api, store } = app;
  const root = byId("shown");
  let wanted = "";

  store.watch(["inspected", "user"], async ({ inspected, user }) => {
    wanted = inspected;
    if (!inspected) return fill(root, nothing());
    try {
      const turn = await api.get(of(user, "turns", inspected));
      const evidence = turn.shown ? await loadEvidence(app, turn) : null;
      if (wanted !== inspected) return undefined;
      if (turn.shown) remember(store, inspected, turn.shown);
      root.scrollTop = 0;
      return fill(root, view(app, turn, evidence));
    } catch (error) {
      return wanted === inspected && fill(root, make("p", { class: "hint", role: "alert" }, error.message));
    }
  });
}

function view(app, turn, evidence) {
  const { about, turns } = app.store.get();
  const known = turns.get(turn.turn_id);
  const profile = turn.replied?.profile;
  const head = make("header", { class: "shown-head" },
    make("p", { class: "hint" }, turn.replied ? `For the answer of ${clock(turn.replied.time)}` : "For a message without an answer", profile ? `, with the memory “${profile}”` : ""),
    make("blockquote", { class: "asked" }, turn.said.content));
  if (!turn.shown) return [head, make("p", { class: "hint" }, "Prompts are kept for seven days, except for imported or copied turns.")];
  const total = turn.shown.reduce((sum, one) => sum + one.tokens, 0);
  const budgets = about.profiles.find((one) => one.name === profile)?.budgets ?? {};
  return [head,
    make("section", { class: "budget", "aria-label": "Tokens" },
      make("p", { class: "spread" }, make("b", {}, `${number(total)} tokens of memory`), make("span", { class: "hint figures" }, known?.usage ? `${number(known.usage.input_tokens)} in, ${number(known.usage.output_tokens)} out` : "estimated")),
      bar(turn.shown)),
    turn.shown.length
      ? make("div", { class: "layers" }, turn.shown.map((layer) => layerSection(app, layer, { budget: budgets[layer.layer], ...evidence })))
      : make("p", { class: "hint" }, "Nothing: this memory has no layers. The model saw the bare message.")];
}

/** Load the messages, sessions and memories that the layers reference by id. */
async function loadEvidence(app, turn) {
  const { store } = app;
  const messages = new Map(store.get().messages.map((one) => [one.id, one]));
  const ids = turn.shown.flatMap((layer) => [...layer.messages, ...layer.recalled.flatMap((hit) => hit.context)]);
  const missing = new Map();
  for (const id of ids) {
    const [sessionId, position] = id.split(":");
    if (!messages.has(id)) missing.set(sessionId, [...(missing.get(sessionId) ?? []), Number(position)]);
  }
  await Promise.all([...missing].map(async ([sessionId, positions]) => {
    const loaded = await app.conversation.read({ session_id: sessionId }, Math.min(...positions), Math.max(...positions) + 1).catch(() => []);
    for (const one of loaded) messages.set(one.id, one);
  }));
  const records = new Map();
  const wanted = turn.shown.flatMap((layer) => layer.records);
  await Promise.all(wanted.map(async (id) => {
    records.set(id, await app.api.get(of(store.get().user, "memories", id)).catch(() => null));
  }));
  const sessions = new Map();
  await Promise.all(turn.shown.flatMap((layer) => layer.earlier_sessions).map(async (id) => {
    const known = store.get().sessions.find((one) => one.session_id === id);
    sessions.set(id, known ?? (await app.sessions.find(id)));
  }));
  return { messages, records, sessions };
}

function remember(store, turnId, layers) {
  const { turns } = store.get();
  if (turns.get(turnId)?.layers) return;
  store.set({ turns: new Map(turns).set(turnId, { ...turns.get(turnId), layers }) });
}

function nothing() {
  return make("div", { class: "welcome" },
    make("h2", {}, "Every answer can be opened"),
    make("p", { class: "hint" }, "The window, the summary, recalled messages with their scores, facts and preferences: this panel shows what the model was shown for it."));
}

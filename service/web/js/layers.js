/** One layer of a prompt: its colour, its tokens, and its content. */

import { layerName, meter, parts } from "./charts.js";
import { button, make } from "./elements.js";
import { noting } from "./notes.js";
import { jump } from "./transcript.js";
import { ago, beginning, clock, count, number, titleOf } from "./formatting.js";

const FIRST = 4;

/**
 * The section of a layer.
 * @param {object} app
 * @param {object} layer as returned by the API
 * @param {object} known `budget`, and by id `messages`, `sessions`, `records`
 */
export function layerSection(app, layer, known) {
  const tokens = known.budget ? `${number(layer.tokens)} of ${number(known.budget)}` : number(layer.tokens);
  const inside = [...summary(app, layer, known), ...verbatim(app, layer, known), ...records(app, layer, known), ...recalled(app, layer, known)];
  return make("section", { class: "layer", "data-layer": layer.layer },
    make("div", { class: "fill", "data-layer": layer.layer, "aria-hidden": "true" }),
    make("details", { open: inside.length > 0 },
      make("summary", {},
        make("h2", {}, layerName(layer.layer)),
        make("span", { class: "figures" }, `${tokens} tokens`),
        known.budget ? meter(layer.tokens, known.budget) : null),
      make("div", { class: "inside" }, inside.length ? inside : make("p", { class: "hint" }, "Nothing for this message."))));
}

function summary(app, layer, { sessions }) {
  const content = layer.summary ? [make("p", { class: "prose" }, layer.summary)] : [];
  if (layer.earlier_sessions.length) {
    content.push(make("p", { class: "eyebrow" }, "Earlier sessions that it starts from"));
    content.push(make("ul", { class: "lines" }, layer.earlier_sessions.map((id) => {
      const session = sessions.get(id);
      return make("li", {}, session
        ? button([make("span", {}, titleOf(session)), make("span", { class: "when" }, ago(session.active))], () => noting(() => app.sessions.open(session)), { class: "line" })
        : make("p", { class: "hint" }, "A deleted session."));
    })));
  }
  return content;
}

function verbatim(app, layer, { messages }) {
  if (!layer.messages.length) return [];
  const rows = layer.messages.map((id) => line(app, id, messages.get(id)));
  const rest = rows.splice(0, Math.max(0, rows.length - FIRST));
  return [
    make("p", { class: "eyebrow" }, `${count(layer.messages.length, "message")}, word for word`),
    rest.length ? make("details", { class: "more" }, make("summary", {}, `${count(rest.length, "older one")}`), make("ul", { class: "lines" }, rest)) : null,
    make("ul", { class: "lines" }, rows),
  ];
}

function line(app, id, message) {
  if (!message) return make("li", {}, make("p", { class: "hint" }, "A deleted message."));
  const who = message.author ?? (message.role === "assistant" ? "Onionskin" : "You");
  return make("li", {}, button([make("span", { class: "by" }, who), make("span", {}, beginning(message.content, 90))], () => noting(() => jump(app, id)), { class: "line" }));
}

function records(app, layer, { records: known }) {
  if (!layer.records.length) return [];
  return [make("ul", { class: "lines" }, layer.records.map((id) => {
    const record = known.get(id);
    if (!record) return make("li", {}, make("p", { class: "hint" }, "A deleted memory."));
    const isAlwaysUsed = record.pinned || record.kind === "preference" || record.kind === "rule";
    return make("li", {}, button([make("span", {}, record.content), make("span", { class: "when" }, record.pinned ? `${record.kind}, pinned` : record.kind, isAlwaysUsed ? ", in every prompt" : "")], () => app.memories.show(record), { class: "line" }));
  }))];
}

function recalled(app, layer, { messages }) {
  if (!layer.recalled.length) return [];
  const highest = Math.max(...layer.recalled.map((hit) => hit.score));
  const lowest = Math.min(0, ...layer.recalled.map((hit) => hit.score));
  const shares = (hit) => (hit.score - lowest) / (highest - lowest || 1);
  const cards = layer.recalled.map((hit, place) => hitCard(app, hit, { messages, share: shares(hit), place }));
  const rest = cards.splice(FIRST);
  return [
    make("ol", { class: "hits" }, cards),
    rest.length ? make("details", { class: "more" }, make("summary", {}, `${number(rest.length)} more`), make("ol", { class: "hits" }, rest)) : null,
  ];
}

// Spans count characters; JavaScript's strings count UTF-16 units.
function quote({ message, spans }) {
  if (!spans?.length) return message.content;
  const characters = Array.from(message.content);
  return spans.map(([start, end]) => characters.slice(start, end).join("").trim()).join(" [...] ");
}

function hitCard(app, hit, { messages, share, place }) {
  const { message } = hit;
  if (!message) return make("li", { class: "hit" }, make("p", { class: "hint" }, "A deleted message."));
  const around = hit.context.map((id) => messages.get(id)).filter((one) => one && one.id !== hit.id);
  return make("li", { class: "hit" },
    button([
      make("span", { class: "quote" }, quote(hit)),
      make("span", { class: "when" }, `${message.author ?? (message.role === "assistant" ? "Onionskin" : "You")}, ${clock(message.time)}`),
    ], () => noting(() => jump(app, hit.id)), { class: "line source", "aria-label": `Go to the message: ${quote(hit)}` }),
    around.length ? make("p", { class: "hint" }, `with ${count(around.length, "message")} around it`) : null,
    make("details", { class: "score", open: place === 0 },
      make("summary", {}, make("span", { class: "meter", "aria-hidden": "true" }, make("i", { css: { "--share": String(share) } })), make("span", { class: "figures" }, `score ${hit.score.toFixed(2)}`)),
      parts(hit.parts)));
}

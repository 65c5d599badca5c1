/** Bar charts: a prompt by layer, the use of a budget, a score by part. */

import { make } from "./elements.js";
import { number } from "./formatting.js";

const NAMES = { message: "Message", window: "Window", summary: "Summary", facts: "Facts and preferences", vector: "Recalled turns", classic: "LangChain memory" };
const PART_NAMES = {
  words: "words", words_nearby: "words nearby", similar_words: "similar words", meaning: "meaning", meaning_nearby: "meaning nearby",
  date: "date", speaker: "speaker", form: "form", session: "session",
};

/** The display name of a layer. */
export function layerName(layer) {
  return NAMES[layer] ?? layer;
}

/** One bar with a segment per layer, sized by tokens. */
export function bar(layers, kind = "") {
  const present = layers.filter((layer) => layer.tokens > 0);
  const label = present.map((layer) => `${layerName(layer.layer)} ${number(layer.tokens)}`).join(", ");
  return make("span", { class: `bar ${kind}`, role: "img", "aria-label": `Tokens: ${label || "none"}` },
    present.map((layer) => make("span", { class: "fill", "data-layer": layer.layer, title: `${layerName(layer.layer)}: ${number(layer.tokens)} tokens`, css: { "--share": String(layer.tokens) } })));
}

/** A meter of the used share of a budget. */
export function meter(tokens, budget) {
  return make("span", { class: "meter", "aria-hidden": "true" }, make("i", { css: { "--share": String(Math.min(1, tokens / budget)) } }));
}

/** The parts of a score, largest first; negative parts extend to the left. */
export function parts(scores) {
  const known = Object.entries(scores).filter(([, value]) => Math.abs(value) >= 0.005);
  known.sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  const low = Math.min(0, ...known.map(([, value]) => value));
  const high = Math.max(0, ...known.map(([, value]) => value));
  const span = high - low || 1;
  return make("dl", { class: "parts" }, known.map(([name, value]) => {
    const from = (Math.min(0, value) - low) / span;
    const scoreBar = make("i", { "data-sign": value < 0 ? "minus" : "plus", css: { "--from": `${from * 100}%`, "--share": `${(Math.abs(value) / span) * 100}%` } });
    return make("div", { class: "part" }, make("dt", {}, PART_NAMES[name] ?? name), make("dd", { class: "score-bar", "aria-hidden": "true" }, scoreBar), make("dd", { class: "value" }, value.toFixed(2)));
  }));
}

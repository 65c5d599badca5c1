/** Figures as bars: a prompt by its layers, a budget's use, a score by its parts. */

import { make } from "./elements.js";
import { number } from "./words.js";

const NAMES = { message: "Message", window: "Window", summary: "Summary", facts: "Facts and preferences", vector: "Recalled turns", classic: "LangChain memory" };
const PART_NAMES = {
  words: "words", words_nearby: "words nearby", similar_words: "similar words", meaning: "meaning", meaning_nearby: "meaning nearby",
  date: "date", speaker: "speaker", form: "form", session: "session",
};

/** What a layer is called. */
export function layerName(layer) {
  return NAMES[layer] ?? layer;
}

/** Layers side by side, by tokens. */
export function bar(layers, kind = "") {
  const present = layers.filter((one) => one.tokens > 0);
  const told = present.map((one) => `${layerName(one.layer)} ${number(one.tokens)}`).join(", ");
  return make("span", { class: `bar ${kind}`, role: "img", "aria-label": `Tokens: ${told || "none"}` },
    present.map((one) => make("span", { class: "rock", "data-layer": one.layer, title: `${layerName(one.layer)}: ${number(one.tokens)} tokens`, css: { "--share": String(one.tokens) } })));
}

/** How much of a budget is used. */
export function meter(tokens, budget) {
  return make("span", { class: "meter", "aria-hidden": "true" }, make("i", { css: { "--share": String(Math.min(1, tokens / budget)) } }));
}

/** The parts of a score, the weightiest first, left and right of nothing. */
export function parts(scores) {
  const known = Object.entries(scores).filter(([, value]) => Math.abs(value) >= 0.005);
  known.sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  const low = Math.min(0, ...known.map(([, value]) => value));
  const high = Math.max(0, ...known.map(([, value]) => value));
  const span = high - low || 1;
  return make("dl", { class: "parts" }, known.map(([name, value]) => {
    const from = (Math.min(0, value) - low) / span;
    const beam = make("i", { "data-sign": value < 0 ? "minus" : "plus", css: { "--from": `${from * 100}%`, "--share": `${(Math.abs(value) / span) * 100}%` } });
    return make("div", { class: "part" }, make("dt", {}, PART_NAMES[name] ?? name), make("dd", { class: "beam", "aria-hidden": "true" }, beam), make("dd", { class: "value" }, value.toFixed(2)));
  }));
}

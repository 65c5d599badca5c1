/** What is held back because it reads like instructions to a model, until somebody releases it. */

import { of } from "./api.js";
import { button, make } from "./elements.js";
import { note } from "./notes.js";
import { noting } from "./notes.js";
import { count } from "./words.js";

/**
 * The part that shows them; null where there are none.
 * @param {object} app
 * @param {() => void} changed called after a release
 */
export async function heldBack({ api, store }, changed) {
  const { user, about } = store.get();
  if (!about.quarantine) return null;
  const { held } = await api.get(of(user, "quarantine"));
  if (!held.length) return null;
  const release = (ids) => noting(async () => {
    const done = await api.post(of(user, "quarantine", "release"), { ids });
    note(`${count(done.released, "text")} released.`);
    changed();
  });
  return make("section", { class: "held", "aria-label": "Held back" },
    make("h2", {}, `Held back: ${count(held.length, "text")}`),
    make("p", { class: "hint" }, "They read like instructions to a model, so no model is shown them."),
    make("ul", { class: "lines" }, held.map((one) => make("li", { class: "held-one" },
      make("p", { class: "memory-content" }, one.content),
      button("Release", () => release([one.id]), { class: "plain small", "aria-label": `Release this ${one.kind}` })))));
}

/** Quarantined texts: they read like instructions to a model, and wait for a release. */

import { of } from "./api.js";
import { button, make } from "./elements.js";
import { note, noting } from "./notes.js";
import { count } from "./formatting.js";

/**
 * A section with the quarantined texts; null if there are none.
 * @param {object} app
 * @param {() => void} changed called after a release
 */
export async function quarantineSection({ api, store }, changed) {
  const { user, about } = store.get();
  if (!about.quarantine) return null;
  const { held: quarantined } = await api.get(of(user, "quarantine"));
  if (!quarantined.length) return null;
  const release = (ids) => noting(async () => {
    const done = await api.post(of(user, "quarantine", "release"), { ids });
    note(`${count(done.released, "text")} released.`);
    changed();
  });
  return make("section", { class: "quarantine", "aria-label": "Quarantined" },
    make("h2", {}, `Quarantined: ${count(quarantined.length, "text")}`),
    make("p", { class: "hint" }, "They read like instructions to a model, so no prompt contains them."),
    make("ul", { class: "lines" }, quarantined.map((text) => make("li", { class: "quarantined-text" },
      make("p", { class: "memory-content" }, text.content),
      button("Release", () => release([text.id]), { class: "plain small", "aria-label": `Release this ${text.kind}` })))));
}

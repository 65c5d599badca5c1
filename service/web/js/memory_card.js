/** A memory as a card: read, edit, pin, archive, delete, and look up its source. */

import { of } from "./api.js";
import { parts } from "./charts.js";
import { button, fill, make } from "./elements.js";
import { memoryForm } from "./memory_form.js";
import { note, noting } from "./notes.js";
import { jump } from "./transcript.js";
import { ago, beginning } from "./formatting.js";

/**
 * @param {object} app
 * @param {object} memory as returned by the API
 * @param {object} more `hit`, its search result; `changed`, called after a change
 */
const STATUS = { superseded: "no longer true", ended: "no longer true", upcoming: "not yet true" };

export function memoryCard(app, memory, { hit, changed }) {
  const { api, store } = app;
  const path = (...parts_) => of(store.get().user, "memories", memory.id, ...parts_);
  const body = make("div", { class: "memory-body" });
  const card = make("li", { class: "memory", id: memory.id, "data-layer": "facts", "data-archived": String(memory.archived), "data-pinned": String(memory.pinned) }, body);

  const change = (fields) => noting(async () => {
    await api.patch(path(), fields);
    changed();
  });

  const remove = () => noting(async () => {
    await api.remove(path());
    note("Deleted.", { label: "Undo", act: () => noting(() => api.post(path("restore"), {}).then(changed)) });
    changed();
  });

  function edit() {
    fill(body, memoryForm({
      memory, save: "Save",
      async done(fields) {
        if (!fields) return read();
        await api.patch(path(), fields);
        return changed();
      },
    }));
    body.querySelector("textarea").focus();
  }

  async function why(place) {
    if (place.childElementCount) return fill(place);
    const source = await api.get(path("why"));
    return fill(place,
      source.turns.length ? make("p", { class: "eyebrow" }, "Source messages") : make("p", { class: "hint" }, "Written by hand."),
      make("ul", { class: "lines" }, source.turns.filter((one) => one.said).map((one) => make("li", {}, button(beginning(one.said.content, 120), () => noting(() => jump(app, one.said.id)), { class: "line" })))),
      source.supersedes.length ? make("p", { class: "eyebrow" }, "Memories that it superseded") : null,
      make("ul", { class: "lines" }, source.supersedes.map((one) => make("li", { class: "hint" }, one.content))),
      source.superseded_by ? make("p", { class: "hint" }, "Superseded by: ", source.superseded_by.content) : null);
  }

  function read() {
    const reasons = make("div", { class: "reasons" });
    const details = [memory.kind, memory.term === "short" ? "short-term" : null, memory.topic ? `on ${memory.topic}` : null, `importance ${memory.importance.toFixed(1)}`, memory.status === "current" ? null : STATUS[memory.status] ?? memory.status, ago(memory.updated)];
    fill(body,
      make("p", { class: "memory-content" }, memory.pinned ? make("span", { class: "chip" }, "pinned") : null, memory.content),
      make("p", { class: "hint" }, details.filter(Boolean).join(" · ")),
      hit ? make("details", { class: "score" }, make("summary", {}, make("span", { class: "figures" }, `score ${hit.score.toFixed(2)}`)), parts(hit.parts)) : null,
      make("div", { class: "row" },
        button("Edit", edit, { class: "quiet small" }),
        button(memory.pinned ? "Unpin" : "Pin", () => change({ pinned: !memory.pinned }), { class: "quiet small" }),
        button(memory.archived ? "Restore" : "Archive", () => change({ archived: !memory.archived }), { class: "quiet small" }),
        button("Why", () => noting(() => why(reasons)), { class: "quiet small" }),
        button("Delete", remove, { class: "quiet danger small" })),
      reasons);
  }

  read();
  return card;
}

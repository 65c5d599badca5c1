/** The form of a memory: text, kind, topic, importance. */

import { button, make } from "./elements.js";
import { noting } from "./notes.js";

const KINDS = ["fact", "preference", "rule", "entity", "relationship", "note"];
let made = 0;

/**
 * @param {object} form `memory`; `save`, the label; `done(fields)`, null when it is cancelled
 */
export function memoryForm({ memory, save, done }) {
  const name = `memory-form-${(made += 1)}`;
  const content = make("textarea", { id: `${name}-content`, rows: "3", maxlength: "8192", required: true, value: memory.content });
  const kind = make("select", { id: `${name}-kind` }, KINDS.map((one) => make("option", { value: one, selected: one === memory.kind }, one)));
  const topic = make("input", { id: `${name}-topic`, type: "text", maxlength: "128", value: memory.topic ?? "", placeholder: "none" });
  const importance = make("input", { id: `${name}-importance`, type: "range", min: "0", max: "1", step: "0.1", value: String(memory.importance) });
  const short = make("input", { id: `${name}-short`, type: "checkbox", checked: memory.term === "short" });
  const pinned = make("input", { id: `${name}-pinned`, type: "checkbox", checked: memory.pinned });
  const field = (label, control) => make("label", { class: "field", for: control.id }, make("span", {}, label), control);

  const fields = () => ({
    content: content.value, kind: kind.value, topic: topic.value.trim() || null, importance: Number(importance.value),
    term: short.checked ? "short" : "long", pinned: pinned.checked,
  });

  return make("form", {
    class: "memory-form", "aria-label": save === "Keep" ? "A new memory" : "Edit the memory",
    on: {
      submit: (event) => {
        event.preventDefault();
        noting(() => done(fields()));
      },
      keydown: (event) => {
        if (event.key === "Escape") noting(() => done(null));
      },
    },
  },
    field("What to remember", content),
    make("div", { class: "pair" }, field("Kind", kind), field("Topic", topic)),
    field("Importance", importance),
    make("div", { class: "row" },
      make("label", { class: "check", for: pinned.id }, pinned, "Pinned: in every prompt"),
      make("label", { class: "check", for: short.id }, short, "Short-term")),
    make("div", { class: "row" },
      make("button", { class: "solid small" }, save),
      button("Cancel", () => noting(() => done(null)), { class: "plain small" })));
}

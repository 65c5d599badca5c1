/** Dialogs: confirm, enter a line of text, or choose. */

import { make } from "./elements.js";

/**
 * Ask for one of a few choices.
 * @param {object} question `title`, `text`, `choices` ([value, label, class]); Escape is the first
 * @returns {Promise<string>} the value chosen
 */
export function choose({ title, text, choices }) {
  const buttons = choices.map(([value, label, kind]) => make("button", { value, class: kind ?? "plain" }, label));
  return openDialog([
    make("h2", { id: "asked" }, title),
    make("p", { class: "hint" }, text),
    make("div", { class: "row" }, ...buttons),
  ], (box) => box.returnValue || choices[0][0]);
}

/** Ask for confirmation of an action that cannot be undone. */
export async function confirmed(title, text, label) {
  return (await choose({ title, text, choices: [["no", "Cancel", "plain"], ["yes", label, "danger"]] })) === "yes";
}

/** Ask for a line of text; null if cancelled. */
export function line({ title, label, value = "", save = "Save", hint }) {
  const field = make("input", { type: "text", value, id: "asked-for", required: true, maxlength: "256", autocomplete: "off" });
  return openDialog([
    make("h2", { id: "asked" }, title),
    make("label", { class: "field", for: "asked-for" }, make("span", {}, label), field),
    hint ? make("p", { class: "hint" }, hint) : null,
    make("div", { class: "row" },
      make("button", { value: "no", class: "plain", formnovalidate: true }, "Cancel"),
      make("button", { value: "yes", class: "solid" }, save)),
  ], (box) => (box.returnValue === "yes" ? field.value.trim() || null : null), (form) => submitWithEnter(form, field));
}

function submitWithEnter(form, field) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    form.requestSubmit(form.querySelector("button[value=yes]"));
  });
  field.select();
}

function openDialog(children, answer, ready = () => {}) {
  const form = make("form", { method: "dialog" }, children);
  const box = make("dialog", { "aria-labelledby": "asked" }, form);
  document.body.append(box);
  box.showModal();
  ready(form);
  return new Promise((resolve) => {
    box.addEventListener("close", () => {
      box.remove();
      resolve(answer(box));
    });
  });
}

/** Short notes at the foot of the page, and what screen readers are told. */

import { button, byId, make } from "./elements.js";

const SHOWN_MS = 6000;
const MOST = 3;

/** Tell something, with something to do about it perhaps. */
export function note(text, { kind = "good", label, act } = {}) {
  const line = make("div", { class: "note", "data-kind": kind }, make("span", {}, text));
  if (act) {
    line.append(button(label, () => {
      line.remove();
      act();
    }, { class: "" }));
  }
  const notes = byId("notes");
  if (notes.childElementCount >= MOST) notes.firstElementChild.remove();
  notes.append(line);
  setTimeout(() => line.remove(), SHOWN_MS);
}

/** Say something to screen readers alone. */
export function speak(text) {
  byId("spoken").textContent = text;
}

/** Do something; what goes wrong becomes a note. */
export async function noting(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") note(error.message, { kind: "bad" });
    return undefined;
  }
}

/** Short notices over the masthead, and announcements for screen readers. */

import { button, byId, make } from "./elements.js";

const SHOWN_MS = 6000;
const MOST = 3;

let latest = null; // the timer of the visible note

/** Display a note, optionally with an action; a click dismisses it. */
export function note(text, { kind = "good", label, act } = {}) {
  const line = make("div", { class: "note", "data-kind": kind }, make("span", {}, text));
  if (act) line.append(button(label, () => act(), { class: "" }));
  line.addEventListener("click", () => over(line));
  const notes = byId("notes");
  if (notes.childElementCount >= MOST) notes.firstElementChild.remove();
  notes.append(line);
  countDown();
}

/** Time the latest note; the one below it is then visible for as long. */
function countDown() {
  clearTimeout(latest);
  const line = byId("notes").lastElementChild;
  if (line) latest = setTimeout(() => over(line), SHOWN_MS);
}

function over(line) {
  line.remove();
  countDown();
}

/** Announce a text to screen readers only. */
export function speak(text) {
  byId("spoken").textContent = text;
}

/** Run `work`; an error becomes a note. */
export async function noting(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") note(error.message, { kind: "bad" });
    return undefined;
  }
}

/** Short notes over the masthead, and what screen readers are told. */

import { button, byId, make } from "./elements.js";

const SHOWN_MS = 6000;
const MOST = 3;

let latest = null; // the countdown of the one that is seen

/** Tell something, with something to do about it perhaps; a click puts it away. */
export function note(text, { kind = "good", label, act } = {}) {
  const line = make("div", { class: "note", "data-kind": kind }, make("span", {}, text));
  if (act) line.append(button(label, () => act(), { class: "" }));
  line.addEventListener("click", () => over(line));
  const notes = byId("notes");
  if (notes.childElementCount >= MOST) notes.firstElementChild.remove();
  notes.append(line);
  countDown();
}

/** What the latest note covers is seen again, for as long, once that one is over. */
function countDown() {
  clearTimeout(latest);
  const line = byId("notes").lastElementChild;
  if (line) latest = setTimeout(() => over(line), SHOWN_MS);
}

function over(line) {
  line.remove();
  countDown();
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

/** The message field: Enter sends, Shift and Enter start a new line, Escape stops. */

import { byId } from "./elements.js";

const TALLEST = 220;

/**
 * @param {object} app
 * @param {(message: string) => void} send called with a message
 */
export function createComposer(app, send) {
  const form = byId("composer");
  const field = byId("message");
  const stop = byId("stop");
  const submit = byId("send");

  function fit() {
    if (!field.offsetParent) return; // another pane is visible, so there is nothing to measure
    field.style.height = "auto";
    field.style.height = `${Math.min(TALLEST, field.scrollHeight + 2)}px`;
  }

  fit();
  addEventListener("resize", fit);

  function put(text) {
    field.value = text;
    fit();
    field.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const message = field.value.trim();
    if (!message || submit.disabled || submit.hidden) return;
    const { moving, user } = app.store.get();
    if (moving) {
      const arrived = () => user === app.store.get().user && form.requestSubmit();
      moving.then(arrived, () => {}); // if opening fails, the message stays in the field
      return;
    }
    field.value = "";
    fit();
    send(message);
  });
  field.addEventListener("input", fit);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  stop.addEventListener("click", () => app.stop());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !stop.hidden && !document.querySelector("dialog[open]")) app.stop();
  });

  app.store.watch(["pending", "session", "user", "mode", "comparing"], ({ pending, session, user, mode, comparing }) => {
    const isBusy = mode === "compare" ? comparing : pending?.status === "waiting" || pending?.status === "answering";
    const isClosed = mode !== "compare" && Boolean(session?.closed);
    submit.hidden = Boolean(isBusy);
    stop.hidden = !isBusy;
    submit.disabled = isClosed || !user;
    field.disabled = isClosed || !user;
    if (isClosed) field.placeholder = "This session is closed: read it, fork it, or start a new one";
    else field.placeholder = mode === "compare" ? "One message to both memories" : "Say something worth remembering";
  });
  return { put, focus: () => field.focus() };
}

/** Sends a message and streams its answer. A retry under the same key runs the turn only once. */

import { Problem } from "./api.js";
import { events } from "./stream.js";

const ATTEMPTS = 20;
const PAUSE_MS = 250;

/** A new idempotency key. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((one) => one.toString(16).padStart(2, "0")).join("");
}

/**
 * Send a message.
 * @param {object} api
 * @param {object} turn `user_id`, `message`, `session_id`, `profile`
 * @param {object} how `key`; `signal` that cancels it; `onEvent(event, data)`
 * @returns {Promise<object>} the answer as stored
 */
export async function sendTurn(api, turn, { key, signal, onEvent = () => {} }) {
  const response = await request(api, turn, key, signal);
  try {
    for await (const { event, data } of events(response)) {
      onEvent(event, data);
      if (event === "error") throw new Problem(data);
      if (event === "done") return data;
    }
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    throw cutOff();
  }
  throw cutOff();
}

async function request(api, turn, key, signal) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await api.respond("POST", "/v1/chat", {
        body: { ...turn, stream: true }, headers: { "Idempotency-Key": key }, signal,
      });
    } catch (error) {
      if (error.code !== "idempotency_in_flight" || attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS)); // the cancelled attempt is still ending
    }
  }
}

function cutOff() {
  return new Problem({ code: "cut_off", detail: "The answer was cut off. Try again: if it was stored, you get that answer." });
}

/** One turn: a message sent, its answer streamed. Sent again under its key, it is done once. */

import { Problem } from "./api.js";
import { events } from "./stream.js";

const TRIES = 20;
const PAUSE = 250;

/** A name for a turn. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((one) => one.toString(16).padStart(2, "0")).join("");
}

/**
 * Say something.
 * @param {object} api
 * @param {object} turn `user_id`, `message`, `session_id`, `profile`
 * @param {object} how `key`; `signal` that stops it; `heard(event, data)`
 * @returns {Promise<object>} the answer as stored
 */
export async function talk(api, turn, { key, signal, heard = () => {} }) {
  const response = await begun(api, turn, key, signal);
  try {
    for await (const { event, data } of events(response)) {
      heard(event, data);
      if (event === "error") throw new Problem(data);
      if (event === "done") return data;
    }
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    throw cutOff();
  }
  throw cutOff();
}

async function begun(api, turn, key, signal) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await api.respond("POST", "/v1/chat", {
        body: { ...turn, stream: true }, headers: { "Idempotency-Key": key }, signal,
      });
    } catch (error) {
      if (error.code !== "idempotency_in_flight" || tried === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE)); // the stopped try is still ending
    }
  }
}

function cutOff() {
  return new Problem({ code: "cut_off", detail: "The answer was cut off. Try again: if it was stored, that answer comes, once." });
}

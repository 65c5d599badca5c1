/** Sends one message to two memories, side by side: two forks of the session, each with its profile. */

import { Problem, of } from "./api.js";
import { bar } from "./charts.js";
import { choose, confirmed } from "./dialogs.js";
import { button, byId, fill, make } from "./elements.js";
import { autoscroll } from "./autoscroll.js";
import { profileSelect, swatches } from "./heading.js";
import { note, noting, speak } from "./notes.js";
import { newKey, sendTurn } from "./turn_request.js";
import { count, number, titleOf } from "./formatting.js";

const FIRST = ["layered", "window"];

/** @param {object} app */
export function createComparison(app) {
  const { api, store } = app;
  const path = (...parts) => of(store.get().user, "sessions", ...parts);
  const root = byId("compare");
  let sides = [];
  let stopping = null;

  function begin() {
    const { about, profile } = store.get();
    const names = about.profiles.map((one) => one.name);
    const other = FIRST.find((one) => one !== profile && names.includes(one)) ?? names[0];
    sides = [profile, other].map((name, place) => {
      const box = make("section", { class: "side", id: `side-${place}`, tabindex: "0", "aria-label": `Memory ${place + 1}` });
      return { place, profile: name, session: null, turns: [], box, end: autoscroll(box) };
    });
    fill(root, make("div", { class: "sides" }, sides.map((side) => side.box)));
    store.set({ mode: "compare" });
    show(true);
    draw();
  }

  function show(isOn) {
    root.hidden = !isOn;
    byId("transcript").hidden = isOn;
  }

  async function forked(side) {
    if (side.session) return;
    const { session } = store.get();
    const made = session?.messages
      ? await api.post(path(session.session_id, "fork"), { profile: side.profile })
      : (await api.post(path(), { profile: side.profile })).session;
    side.session = await api.patch(path(made.session_id), { title: `${side.profile}: ${session ? subject(session) : "comparison"}`.slice(0, 256) });
  }

  /** A session's title, without the profile name that an earlier comparison added. */
  function subject(session) {
    const title = titleOf(session);
    const named = store.get().about.profiles.find((one) => title.startsWith(`${one.name}: `));
    return named ? title.slice(named.name.length + 2) : title;
  }

  async function send(message) {
    stopping = new AbortController();
    store.set({ comparing: true });
    for (const side of sides) side.turns.push({ message, profile: side.profile, reply: "", layers: [], problem: "", answer: null, began: performance.now() });
    draw();
    for (const side of sides) side.end.toEnd();
    await Promise.all(sides.map(forked)).catch((error) => {
      for (const side of sides) side.turns.at(-1).problem = error.message;
    });
    await Promise.all(sides.map((side) => answered(side, side.turns.at(-1))));
    store.set({ comparing: false });
    speak(sides.map((side) => `${side.profile}: ${side.turns.at(-1).reply || side.turns.at(-1).problem}`).join(" "));
    await app.sessions.load();
  }

  async function answered(side, turn) {
    if (turn.problem) return draw();
    const others = sides.filter((one) => one !== side).map((one) => one.session.session_id); // neither recalls the other
    const body = { user_id: store.get().user, message: turn.message, session_id: side.session.session_id, profile: side.profile, apart_from: others };
    const onEvent = (event, data) => {
      if (event === "memory") turn.layers = data.memory;
      if (event === "token") turn.reply += data.text;
      draw(event === "memory" ? null : side);
    };
    try {
      turn.answer = await sendTurn(api, body, { key: newKey(), signal: stopping.signal, onEvent });
      const trace = { usage: turn.answer.usage, layers: turn.layers };
      store.set({ turns: new Map(store.get().turns).set(turn.answer.turn_id, trace) });
    } catch (error) {
      turn.problem = error instanceof Problem ? error.message : "Stopped. Your message is kept; try again to replace it.";
    }
    turn.seconds = (performance.now() - turn.began) / 1000;
    return draw(side);
  }

  function draw(only = null) {
    for (const side of only ? [only] : sides) {
      fill(side.box, head(side), side.turns.length ? side.turns.map((turn, number) => shown(turn, largest(number))) : make("p", { class: "hint" }, intro()));
      if (side.end.isFollowed()) side.end.toEnd();
    }
  }

  function intro() {
    const { session } = store.get();
    return session?.messages ? `A fork with all ${count(session.messages, "message")} answers with this memory. The session itself does not change.` : "A separate session answers with this memory.";
  }

  function head(side) {
    const { about } = store.get();
    const id = `side-profile-${side.place}`;
    const change = (name) => {
      side.profile = name;
      draw();
    };
    return make("header", { class: "side-head" },
      make("label", { class: "picker", for: id }, swatches(about, side.profile), make("span", { class: "visually-hidden" }, `Memory ${side.place + 1}`), profileSelect(about, side.profile, change, { id })),
      side.session ? button("Continue with this", () => noting(() => keep(side)), { class: "quiet small" }) : null);
  }

  const tokensOf = (turn) => turn.layers.reduce((sum, one) => sum + one.tokens, 0);
  const largest = (number) => Math.max(1, ...sides.map((side) => (side.turns[number] ? tokensOf(side.turns[number]) : 0)));

  /** A turn of one side; its bar is as long as its share of the larger memory. */
  function shown(turn, longest) {
    const tokens = tokensOf(turn);
    const drawn = turn.layers.length ? bar(turn.layers) : make("span", { class: "bar" });
    drawn.style.setProperty("--size", String(tokens / longest));
    const hits = turn.layers.reduce((sum, one) => sum + one.recalled.length, 0);
    return make("article", { class: "compared-turn" },
      make("p", { class: "asked" }, turn.message),
      drawn,
      make("p", { class: "hint figures" }, `${turn.profile}: ${number(tokens)} tokens of memory, ${count(hits, "turn")} recalled${turn.seconds ? `, ${turn.seconds.toFixed(1)} s` : ""}`),
      make("div", { class: "text" }, turn.reply, turn.answer || turn.problem ? null : make("span", { class: "caret", "aria-hidden": "true" })),
      turn.problem ? make("p", { class: "hint", role: "alert" }, turn.problem) : null,
      turn.answer ? button("What it was shown", () => app.inspect(turn.answer.turn_id), { class: "quiet small" }) : null);
  }

  async function end() {
    stopping?.abort();
    sides = [];
    show(false);
    store.set({ mode: "talk", comparing: false });
    await app.sessions.load();
  }

  async function drop(others) {
    await Promise.all(others.filter((side) => side.session).map((side) => api.remove(path(side.session.session_id))));
  }

  async function keep(side) {
    const { session, profile } = side;
    if (!(await confirmed("Continue with this fork?", "The other fork and its messages are deleted.", "Delete the other"))) return;
    await drop(sides.filter((one) => one !== side));
    await end();
    await app.conversation.open(await api.get(path(session.session_id)), { profile });
    note("You continue in this fork.");
  }

  async function leave({ mayStay = false } = {}) {
    if (sides.some((side) => side.session)) {
      const chosen = await choose({
        title: "End the comparison?", text: "The two forks can stay among the sessions, or be deleted.",
        choices: [...(mayStay ? [["stay", "Cancel"]] : []), ["keep", "Keep both"], ["drop", "Delete both", "danger"]],
      });
      if (chosen === "stay") return;
      if (chosen === "drop") await drop(sides);
    }
    await end();
  }

  return {
    begin, send, leave, end,
    stop: () => stopping?.abort(),
    toggle: () => noting(() => (store.get().mode === "compare" ? leave({ mayStay: true }) : begin())),
  };
}

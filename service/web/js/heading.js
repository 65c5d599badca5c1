/** The heading of the conversation: title, memory profile, and the button to compare. */

import { button, byId, fill, make } from "./elements.js";
import { layerName } from "./charts.js";
import { titleOf } from "./formatting.js";

/** @param {object} app */
export function showHeading(app) {
  const { store } = app;
  store.watch(["session", "profile", "about", "user", "mode"], ({ session, about, user, mode }) => {
    if (!about) return;
    const title = session ? titleOf(session) : user ? "A new session" : "Onionskin";
    fill(byId("talk-head"),
      make("div", { class: "talk-title" },
        make("h2", {}, title),
        session?.closed ? make("span", { class: "chip" }, "closed") : null),
      mode === "compare" ? null : picker(store),
      button(mode === "compare" ? "End comparison" : "Compare", () => app.compare.toggle(),
        { class: "plain", id: "compare-toggle", "aria-pressed": String(mode === "compare"), disabled: !user }));
  });
}

/** A select box of memory profiles. */
export function profileSelect(about, chosen, change, properties = {}) {
  const own = about.profiles.filter((one) => !one.name.startsWith("classic"));
  const classic = about.profiles.filter((one) => one.name.startsWith("classic"));
  const option = (one) => make("option", { value: one.name, selected: one.name === chosen }, one.name);
  return make("select", { ...properties, on: { change: (event) => change(event.target.value) } },
    make("optgroup", { label: "Layers" }, own.map(option)),
    classic.length ? make("optgroup", { label: "LangChain’s classic memories" }, classic.map(option)) : null);
}

/** The layers of a profile, as swatches. */
export function swatches(about, name) {
  const layers = about.profiles.find((one) => one.name === name)?.layers ?? [];
  const label = layers.map(layerName).join(", ") || "nothing";
  return make("span", { class: "swatches", role: "img", "aria-label": `Layers: ${label}`, title: label },
    layers.map((layer) => make("i", { class: "swatch fill", "data-layer": layer })));
}

function picker(store) {
  const { about, profile } = store.get();
  return make("label", { class: "picker", for: "profile" },
    swatches(about, profile),
    make("span", { class: "picker-label" }, "Memory"),
    profileSelect(about, profile, (name) => store.set({ profile: name }), { id: "profile" }));
}

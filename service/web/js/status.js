/** The services in use, their state, and a hint for the offline model. */

import { button, byId, fill, make } from "./elements.js";
import { speak } from "./notes.js";

const HIDDEN = "onionskin.banner";
const KINDS = { embedded: "embedded", server: "", sentinel: "Sentinel", cluster: "Cluster" };

/** @param {object} app */
export function showStatus({ store, credentials }) {
  store.watch(["about", "alive"], ({ about, alive }) => {
    if (!about) return;
    const redis = [about.redis.server || "Redis", KINDS[about.redis.kind]].filter(Boolean).join(", ");
    fill(byId("inuse"),
      make("span", { class: "pulse", "data-alive": String(alive), role: "img", "aria-label": alive ? "The service answers" : "The service is unreachable" }),
      alive ? null : make("b", {}, "Unreachable. "),
      make("b", {}, about.model.offline ? "Offline model" : about.model.name),
      ` · ${about.embedder} embedder · ${redis}`);
  });

  store.watch(["about"], ({ about }) => {
    if (!about) return;
    const banner = byId("banner");
    banner.hidden = !about.model.offline || sessionStorage.getItem(HIDDEN) !== null;
    fill(banner,
      make("p", {}, "The offline model answers: it only quotes remembered lines. For real answers, start Onionskin with a key, ",
        make("code", {}, "OPENAI_API_KEY=… make run"), ", or choose any model: ", make("code", {}, "ONIONSKIN_MODEL=…"), "."),
      button("Hide", () => {
        sessionStorage.setItem(HIDDEN, "yes");
        banner.hidden = true;
      }, { class: "quiet small", "aria-label": "Hide this" }));
    if (about.auth !== "off" && !byId("forget-key")) {
      byId("theme").before(button("Forget key", () => {
        credentials.forget();
        location.reload();
      }, { class: "quiet", id: "forget-key" }));
    }
  });
}

/** The theme: light, dark, or the system's. */
export function createTheme() {
  const themes = ["auto", "light", "dark"];
  const label = byId("theme-label");
  const set = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    label.textContent = `Theme: ${theme}`;
    localStorage.setItem("onionskin.theme", theme);
  };
  const known = localStorage.getItem("onionskin.theme");
  set(themes.includes(known) ? known : "auto");
  byId("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? "auto";
    set(themes[(themes.indexOf(now) + 1) % themes.length]);
    speak(label.textContent);
  });
}

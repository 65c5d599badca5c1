/** Panes, one at a time on small screens; tabs of the inspector, with arrow keys. */

import { byId } from "./elements.js";

const PANES = ["people", "talk", "inspector"];

export function createPanes() {
  const nav = byId("panes-nav");
  const phone = matchMedia("(max-width: 47rem)");

  function show(pane) {
    document.body.dataset.pane = PANES.includes(pane) ? pane : "talk";
    mark();
  }

  /** On a screen with two panes, the inspector is open next to the conversation. */
  function mark() {
    const { pane } = document.body.dataset;
    const current = pane === "talk" && !phone.matches ? "inspector" : pane;
    for (const one of nav.children) {
      if (one.dataset.to === current) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    }
  }

  phone.addEventListener("change", mark);
  mark();
  nav.addEventListener("click", (event) => event.target.dataset.to && show(event.target.dataset.to));
  return { show };
}

/**
 * Tabs that show one panel each.
 * @param {(name: string) => void} chosen called with the panel's name
 */
export function createTabs(chosen) {
  const tabs = [...document.querySelectorAll("[role=tab]")];

  function select(tab, { focus = false } = {}) {
    for (const one of tabs) {
      const isIt = one === tab;
      one.setAttribute("aria-selected", String(isIt));
      one.tabIndex = isIt ? 0 : -1;
      byId(one.getAttribute("aria-controls")).hidden = !isIt;
    }
    if (focus) tab.focus();
    chosen(tab.getAttribute("aria-controls"));
  }

  for (const tab of tabs) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) select(tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length], { focus: true });
    });
  }
  return { select: (name) => select(byId(`tab-${name}`)) };
}

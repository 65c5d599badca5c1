/** Builds elements from plain data. Stored text becomes text nodes, never markup. */

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "selected"]);

/**
 * An element.
 * @param {string} tag
 * @param {object} properties attributes; `class`, `on` (listeners by event), `css` (custom properties)
 * @param {...(Node|string|Array|null|false)} children strings become text nodes
 */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "on") Object.entries(value).forEach(([event, listener]) => node.addEventListener(event, listener));
    else if (name === "css") Object.entries(value).forEach(([key, one]) => node.style.setProperty(key, one));
    else if (PROPERTIES.has(name)) node[name] = value;
    else if (name === "class") node.className = value;
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

/** A button that does something. */
export function button(label, act, properties = {}) {
  const { on = {}, ...rest } = properties;
  return make("button", { type: "button", class: "plain", ...rest, on: { click: act, ...on } }, label);
}

const FOCUSABLE = "button:enabled, select:enabled, input:enabled, textarea:enabled, a[href], [tabindex='0']";
const labelOf = (one) => one.getAttribute("aria-label") ?? one.textContent;

let pressed = null; // the button under the pressed pointer
const waiting = new Map(); // pending content of nodes in its pane, until the pointer is released

addEventListener("pointerdown", (event) => {
  pressed = event.button === 0 ? event.target.closest("button") : null; // other buttons open a menu
}, true);
for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, released, true);

/** The click follows the release of the pointer: its button must not move before that. */
function released(event) {
  if (event.type === "blur" && event.target !== window) return;
  pressed = null;
  setTimeout(() => {
    for (const [node, children] of [...waiting]) {
      fill(node, ...children).dispatchEvent(new Event("put", { bubbles: true }));
    }
  });
}

/** Whether a node must not change now, because a button in it or in its pane is pressed. */
export function isPressed(node) {
  return Boolean(pressed) && (node.contains(pressed) || Boolean(pressed.closest(".pane")?.contains(node)));
}

/**
 * Replace the children of a node; the focused element, or the nearest match, keeps the focus.
 * While a button is pressed this is postponed: a button that moves away under the pointer is not clicked.
 */
export function fill(node, ...children) {
  waiting.delete(node);
  if (isPressed(node)) {
    waiting.set(node, children);
    return node;
  }
  const focused = node.contains(document.activeElement) && document.activeElement !== node ? document.activeElement : null;
  const alike = (one) => one.localName === focused.localName && labelOf(one) === labelOf(focused);
  const place = focused ? [...node.querySelectorAll(FOCUSABLE)].filter(alike).indexOf(focused) : -1;
  node.replaceChildren(...present(children));
  if (!focused) return node;
  const offered = [...node.querySelectorAll(FOCUSABLE)];
  const again = offered.filter(alike);
  const target = (focused.id && byId(focused.id)) || (again[place] ?? again.at(-1) ?? offered[0]);
  target?.focus({ preventScroll: true });
  return node;
}

/** An element of the page. */
export function byId(id) {
  return document.getElementById(id);
}

function present(children) {
  return children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false);
}

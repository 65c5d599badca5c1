/** The API key, if the service requires one: asked for once, kept for this tab only. */

import { make } from "./elements.js";

const NAME = "onionskin.key";

export function createCredentials() {
  let asking = null;

  function ask(wasRefused) {
    asking ??= askFor(wasRefused).then((key) => {
      sessionStorage.setItem(NAME, key);
      asking = null;
    });
    return asking;
  }

  return {
    ask,
    value: () => sessionStorage.getItem(NAME),
    headers() {
      const key = sessionStorage.getItem(NAME);
      return key ? { Authorization: `Bearer ${key}` } : {};
    },
    forget: () => sessionStorage.removeItem(NAME),
  };
}

function askFor(wasRefused) {
  const field = make("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false", required: true });
  const hint = wasRefused ? "That key was refused. Is it complete, and not revoked?" : "An API key or a JSON Web Token. It is kept until this tab is closed, and sent only to this service.";
  const box = make("dialog", { "aria-labelledby": "key-title", class: "ask-key" },
    make("form", { method: "dialog" },
      make("h2", { id: "key-title" }, "This service requires a key"),
      make("label", { class: "field", for: "key" }, make("span", {}, "Key"), field),
      make("p", { class: "hint", role: wasRefused ? "alert" : null }, hint),
      make("div", { class: "row" }, make("button", { class: "solid" }, "Use it"))));
  box.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(box);
  box.showModal();
  return new Promise((resolve) => {
    box.addEventListener("close", () => {
      box.remove();
      resolve(field.value.trim());
    });
  });
}

/** A user's memories: list, search, and add by hand. */

import { of } from "./api.js";
import { button, byId, fill, make } from "./elements.js";
import { quarantineSection } from "./quarantine.js";
import { memoryCard } from "./memory_card.js";
import { memoryForm } from "./memory_form.js";
import { noting } from "./notes.js";
import { count } from "./formatting.js";

const PAGE = 50;
const TOP_K = 20;
const TYPING_MS = 250;

/** @param {object} app */
export function createMemories(app) {
  const { api, store } = app;
  const list = make("ul", { class: "memories", "aria-label": "Memories" });
  const status = make("p", { class: "hint", role: "status" });
  const more = make("div", {});
  const adding = make("div", {});
  const quarantine = make("div", {});
  const query = make("input", { type: "search", id: "memory-query", placeholder: "Search memories", "aria-label": "Search memories", autocomplete: "off" });
  const archived = make("input", { type: "checkbox", id: "memory-archived" });
  const path = (...parts) => of(store.get().user, "memories", ...parts);
  let asked = 0;
  let typing = null;

  async function load({ cursor = null } = {}) {
    const mine = (asked += 1);
    const wanted = query.value.trim();
    const answer = wanted ? await search(wanted) : await page(cursor);
    if (mine !== asked) return;
    const cards = answer.rows.map(({ memory, hit }) => memoryCard(app, memory, { hit, changed: reload }));
    fill(list, cursor ? [...list.children] : null, cards);
    fill(more, answer.next ? button("More", () => noting(() => load({ cursor: answer.next })), { class: "plain small" }) : null);
    status.textContent = wanted
      ? count(cards.length, "memory found", "memories found")
      : list.children.length ? "" : "No memories yet. Add one, or use a profile with extraction, which finds them in the conversation.";
    fill(quarantine, await quarantineSection(app, reload));
  }

  async function search(wanted) {
    const body = { query: wanted, top_k: TOP_K, include_archived: archived.checked, include_superseded: archived.checked };
    const { hits } = await api.post(path("search"), body);
    return { rows: hits.map((hit) => ({ memory: hit.memory, hit })), next: null };
  }

  async function page(cursor) {
    const asks = new URLSearchParams({ limit: String(PAGE), include_archived: String(archived.checked), include_superseded: String(archived.checked), ...(cursor ? { cursor } : {}) });
    const result = await api.get(`${path()}?${asks}`);
    return { rows: result.memories.map((memory) => ({ memory })), next: result.next_cursor };
  }

  const reload = () => noting(async () => {
    await load();
    await app.users.figures();
  });

  function add() {
    fill(adding, memoryForm({
      memory: { content: "", kind: "fact", importance: 0.5, pinned: false, term: "long", topic: null },
      save: "Keep",
      async done(fields) {
        if (fields) await api.post(path(), fields);
        fill(adding);
        if (fields) reload();
      },
    }));
    adding.querySelector("textarea").focus();
  }

  query.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => noting(load), TYPING_MS);
  });
  archived.addEventListener("change", () => noting(load));

  fill(byId("memories"),
    make("div", { class: "memory-tools" }, query, button("Add", add, { class: "plain", id: "memory-add" })),
    make("label", { class: "check", for: "memory-archived" }, archived, "Archived ones too, and outdated ones"),
    adding, quarantine, status, list, more);

  /** Scroll to a memory and focus its first button. */
  async function show(memory) {
    query.value = "";
    if (memory.status !== "current") archived.checked = true;
    app.tabs.select("memories");
    app.panes.show("inspector");
    await noting(load);
    const card = byId(memory.id);
    card?.scrollIntoView({ block: "center" });
    card?.querySelector("button")?.focus({ preventScroll: true });
  }

  return { load, show, reload };
}

/** The continuity demo in four steps: send facts, kill the server, see it restart, ask. The tab keeps its step. */

import { Problem, of } from "./api.js";
import { button, byId, fill, make } from "./elements.js";
import { noting } from "./notes.js";

const FACTS = ["Hi! My name is Ada and I live in Lisbon.", "My dog is called Biscuit; he is a three year old beagle.", "I am allergic to peanuts."];
const QUESTIONS = [["What is my dog called?", "Biscuit"], ["What am I allergic to?", "peanut"]];
const POLL_MS = 120;
const TIMEOUT_MS = 60_000;
const STORAGE_KEY = "onionskin.guide";
const INITIAL = { isOpen: false, step: 0, log: [], known: 0, sessionPath: null, killed: null, killedAt: 0 };

/** @param {object} app */
export function createGuide(app) {
  const { api, store } = app;
  const root = byId("guide");
  const toggle = byId("guide-toggle");
  let isBusy = false;
  let at = INITIAL; // `sessionPath` is that of the facts' session; `killed` is a process id

  function keep(changes) {
    at = { ...at, ...changes };
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(at));
    draw();
  }

  function open(isOpen) {
    root.hidden = !isOpen;
    toggle.setAttribute("aria-expanded", String(isOpen));
    keep({ isOpen });
  }

  /** Continue where it was before a reload; start again if the session is gone. */
  async function restore() {
    const kept = JSON.parse(sessionStorage.getItem(STORAGE_KEY));
    const { about } = store.get();
    const isGone = kept?.sessionPath && (await api.get(kept.sessionPath).then(() => false, (error) => error.status === 404));
    at = isGone ? INITIAL : (kept ?? INITIAL);
    open(kept ? kept.isOpen : Boolean(about.demo));
    if (at.step === 2 && about.demo) await doing(back);
  }

  const doing = (work) => noting(async () => {
    isBusy = true;
    draw();
    try {
      await work();
    } finally {
      isBusy = false;
      draw();
    }
  });

  async function say(line) {
    const answer = await app.conversation.say(line);
    if (!answer) throw new Problem({ detail: "The turn failed: see the conversation, then try again." });
    return store.get().messages.at(-1)?.content ?? "";
  }

  async function sendFacts() {
    await app.leaveComparison();
    await app.sessions.begin();
    for (const line of FACTS) await say(line);
    const { session, user } = store.get();
    keep({ step: 1, sessionPath: of(user, "sessions", session.session_id) });
  }

  async function kill() {
    const { demo } = await api.get("/v1/about");
    const dying = await api.post("/v1/demo/kill", { pid: demo.pid });
    const died = `Process ${dying.pid} got SIGKILL${dying.redis_pid ? `, and its Redis ${dying.redis_pid} too` : ""}.`;
    keep({ step: 2, log: [died], killed: demo.pid, killedAt: Date.now() });
    await back();
  }

  async function back() {
    const began = performance.now();
    while (performance.now() - began < TIMEOUT_MS) {
      const about = await api.get("/v1/about").catch(() => null);
      if (about?.demo && about.demo.pid !== at.killed) {
        store.set({ about });
        const came = `Process ${about.demo.pid} answers, ${((Date.now() - at.killedAt) / 1000).toFixed(1)} s later.`;
        keep({ step: 3, log: [...at.log, came] });
        return;
      }
      if (!about && at.log.length === 1) keep({ log: [...at.log, "Nothing answers: the process is dead."] });
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Problem({ detail: "It did not restart within a minute. Was it started with `onionskin demo --web`?" });
  }

  async function ask() {
    keep({ step: Math.min(at.step, 3), known: 0 });
    const { session, user } = store.get();
    if (session && !session.closed) await api.post(of(user, "sessions", session.session_id, "close"));
    await app.sessions.begin();
    let known = 0;
    for (const [line, word] of QUESTIONS) known += (await say(line)).toLowerCase().includes(word.toLowerCase()) ? 1 : 0;
    keep({ step: 4, known });
  }

  function outcome(known) {
    if (known === QUESTIONS.length) return "It still knows. The inspector shows the prompt of each answer.";
    const result = known ? "It knows only part of it." : "It does not know.";
    return `${result} Were the facts sent as this user, with a memory that covers earlier sessions? The inspector shows the prompt of each answer.`;
  }

  function draw() {
    const { about, user } = store.get();
    const { step, log, known } = at;
    const waits = isBusy || !user; // before the user is loaded, nobody can send
    const happened = [true, log.length > 0, log.length > 0, known === QUESTIONS.length];
    const steps = [
      ["Send facts", "Three lines about you, in a new session.", button("Say them", () => doing(sendFacts), { class: "solid small", disabled: waits })],
      ["Kill the server", about.demo ? "SIGKILL: no shutdown, nothing is flushed." : ["The page cannot kill this server. Start ", make("code", {}, "onionskin demo --web"), " for one that it can."],
        about.demo ? button("Kill the server", () => doing(kill), { class: "danger small", id: "kill", disabled: waits }) : null],
      ["See it restart", log.length ? make("ol", { class: "log", role: "log" }, log.map((line) => make("li", {}, line))) : "A small supervisor restarts it.", null],
      ["Ask", step === 4 ? outcome(known) : "The old session is closed; a new one gets the questions.", button("Ask what it remembers", () => doing(ask), { class: "solid small", disabled: waits })],
    ];
    fill(root,
      make("div", { class: "spread" }, make("h2", { id: "guide-title", class: "eyebrow" }, "Does it remember?"), button("Close", () => open(false), { class: "quiet small", "aria-label": "Close the demo" })),
      make("ol", { class: "steps" }, steps.map(([title, text, deed], place) => make("li", { "data-state": place < step && happened[place] ? "done" : place === step ? "now" : "later", "aria-current": place === step ? "step" : null },
        make("h2", {}, title), make("div", { class: "hint" }, text), deed))));
  }

  toggle.addEventListener("click", () => open(root.hidden));
  store.watch(["user"], draw);
  noting(restore);
}

/** Continuity, shown in four steps: tell, kill the server, see it come back, ask. The tab keeps where it is. */

import { Problem, of } from "./api.js";
import { button, byId, fill, make } from "./elements.js";
import { noting } from "./notes.js";

const TOLD = ["Hi! My name is Ada and I live in Lisbon.", "My dog is called Biscuit; he is a three year old beagle.", "I am allergic to peanuts."];
const ASKED = [["What is my dog called?", "Biscuit"], ["What am I allergic to?", "peanut"]];
const LOOK_MS = 120;
const PATIENCE_MS = 60_000;
const KEPT = "onionskin.guide";
const BEGUN = { isOpen: false, step: 0, log: [], known: 0, told: null, killed: null, killedAt: 0 };

/** @param {object} app */
export function createGuide(app) {
  const { api, store } = app;
  const root = byId("guide");
  const toggle = byId("guide-toggle");
  let isBusy = false;
  let at = BEGUN; // `told` is the path of the session that was told, `killed` the process, `killedAt` when

  function keep(changes) {
    at = { ...at, ...changes };
    sessionStorage.setItem(KEPT, JSON.stringify(at));
    draw();
  }

  function open(isOpen) {
    root.hidden = !isOpen;
    toggle.setAttribute("aria-expanded", String(isOpen));
    keep({ isOpen });
  }

  /** Where it was before the page was loaded again; from the start where what was told is gone. */
  async function restore() {
    const kept = JSON.parse(sessionStorage.getItem(KEPT));
    const { about } = store.get();
    const isGone = kept?.told && (await api.get(kept.told).then(() => false, (error) => error.status === 404));
    at = isGone ? BEGUN : (kept ?? BEGUN);
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

  async function tell() {
    await app.leaveComparison();
    await app.sessions.begin();
    for (const line of TOLD) await say(line);
    const { session, user } = store.get();
    keep({ step: 1, told: of(user, "sessions", session.session_id) });
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
    while (performance.now() - began < PATIENCE_MS) {
      const about = await api.get("/v1/about").catch(() => null);
      if (about?.demo && about.demo.pid !== at.killed) {
        store.set({ about });
        const came = `Process ${about.demo.pid} answers, ${((Date.now() - at.killedAt) / 1000).toFixed(1)} s later.`;
        keep({ step: 3, log: [...at.log, came] });
        return;
      }
      if (!about && at.log.length === 1) keep({ log: [...at.log, "Nothing answers: the process is dead."] });
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    throw new Problem({ detail: "It did not come back within a minute. Was it started with `onionskin demo --web`?" });
  }

  async function ask() {
    keep({ step: Math.min(at.step, 3), known: 0 });
    const { session, user } = store.get();
    if (session && !session.closed) await api.post(of(user, "sessions", session.session_id, "close"));
    await app.sessions.begin();
    let known = 0;
    for (const [line, word] of ASKED) known += (await say(line)).toLowerCase().includes(word.toLowerCase()) ? 1 : 0;
    keep({ step: 4, known });
  }

  function outcome(known) {
    if (known === ASKED.length) return "It still knows. What each answer was shown stands in the inspector.";
    const told = known ? "It knows only part of it." : "It does not know.";
    return `${told} Was this user told, with a memory that reaches back? The inspector has what each answer was shown.`;
  }

  function draw() {
    const { about, user } = store.get();
    const { step, log, known } = at;
    const waits = isBusy || !user; // before it is known who speaks, there is nobody to speak as
    const happened = [true, log.length > 0, log.length > 0, known === ASKED.length];
    const steps = [
      ["Tell it", "Three lines about you, in a new session.", button("Say them", () => doing(tell), { class: "solid small", disabled: waits })],
      ["Kill the server", about.demo ? "SIGKILL: no goodbye, nothing is flushed." : ["The page may not kill this server. Start ", make("code", {}, "onionskin demo --web"), " for one it may."],
        about.demo ? button("Kill the server", () => doing(kill), { class: "grave small", id: "kill", disabled: waits }) : null],
      ["See it come back", log.length ? make("ol", { class: "log", role: "log" }, log.map((line) => make("li", {}, line))) : "A small supervisor starts it again.", null],
      ["Ask", step === 4 ? outcome(known) : "The old session is closed; a new one is asked.", button("Ask what it remembers", () => doing(ask), { class: "solid small", disabled: waits })],
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

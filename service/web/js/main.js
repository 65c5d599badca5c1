/** The playground: creates and connects its parts. */

import { createApi } from "./api.js";
import { createComparison } from "./compare.js";
import { createComposer } from "./composer.js";
import { createConversation } from "./conversation.js";
import { createGuide } from "./guide.js";
import { showHeading } from "./heading.js";
import { showInspector } from "./inspector.js";
import { createCredentials } from "./keys.js";
import { createMemories } from "./memories.js";
import { noting } from "./notes.js";
import { createPanes, createTabs } from "./panes.js";
import { createSessions } from "./sessions.js";
import { createTheme, showStatus } from "./status.js";
import { createStore } from "./store.js";
import { showTranscript } from "./transcript.js";
import { createUsers } from "./users.js";

const POLL_MS = 1500;

const store = createStore({
  about: null, alive: true, users: [], user: null, figures: null, timeZone: null, sessions: [], session: null, moving: null,
  messages: [], pending: null, profile: "", inspected: null, shown: null, turns: new Map(),
  mode: "talk", comparing: false,
});
const credentials = createCredentials();
const api = createApi(credentials, (alive) => store.set({ alive }));
const app = { store, credentials, api, panes: createPanes() };
let isShown = false;

createTheme();
showStatus(app);
app.conversation = createConversation(app);
app.sessions = createSessions(app);
app.users = createUsers(app);
app.memories = createMemories(app);
app.compare = createComparison(app);
app.leaveComparison = async () => (store.get().mode === "compare" ? app.compare.leave() : undefined);
app.abandonComparison = async () => (store.get().mode === "compare" ? app.compare.end() : undefined);
app.stop = () => (store.get().mode === "compare" ? app.compare.stop() : app.conversation.stop());
app.composer = createComposer(app, (message) => noting(() => (store.get().mode === "compare" ? app.compare.send(message) : sendMessage(message))));
app.tabs = createTabs((name) => name === "memories" && store.get().user && noting(app.memories.load));
app.inspect = (turn) => {
  store.set({ inspected: turn });
  app.tabs.select("shown");
  app.panes.show("inspector");
};

async function sendMessage(message) {
  await app.conversation.say(message);
  await Promise.all([app.sessions.load(), app.users.figures()]);
}

/** Create the parts that need `about`; once, although the start may be retried. */
function show() {
  isShown = true;
  showHeading(app);
  showTranscript(app);
  showInspector(app);
  createGuide(app);
}

async function start() {
  store.set({ about: await api.get("/v1/about") });
  if (!isShown) show();
  await app.users.load();
  await app.users.choose(app.users.remembered());
  store.watch(["user"], () => app.tabs.select("shown"));
}

/** While the service is unreachable, poll for it. */
async function poll() {
  if (!store.get().alive) {
    const about = await api.get("/v1/about").catch(() => null);
    if (about) store.set({ about });
    if (about && !store.get().user) await noting(start);
  }
  setTimeout(poll, POLL_MS);
}

await noting(start);
document.body.dataset.ready = "true";
poll();

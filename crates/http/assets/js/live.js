// Keeps the page current: asks for it again when an event says that it has changed, at most every 300 ms and never while
// nobody sees it. Charts and logs listen to `stepwell:change` on the document.
import { Stream } from "./stream.js";

const LEAST_INTERVAL = 300;
/** Progress alone, which a training makes many times a second. */
const PROGRESS_INTERVAL = 900;
const EVENTS = "/api/v1/events?progress=true";
/** The ends of batches are no events: a page that waits for one (`data-due`) asks this often. */
const DUE_INTERVAL = 1500;

const body = document.body;
const shown = document.querySelector("[data-link-state]");
let runs = null;
let due = false;
let timer = null;
let timerAt = Infinity;
let lastTime = 0;
let isSettled = false;

function state(text) {
  if (!shown) return;
  shown.dataset.state = text;
  shown.textContent = text === "live" ? "live" : "connecting";
}

/** What happened between the answer of the server and the start of the stream has to be asked for. */
function settle(text) {
  if (isSettled || text !== "live") return;
  isSettled = true;
  refresh(LEAST_INTERVAL);
}

function refresh(interval) {
  due = true;
  const at = Math.max(performance.now(), lastTime + interval);
  if (document.hidden || at >= timerAt) return;
  clearTimeout(timer);
  timerAt = at;
  timer = setTimeout(() => {
    [timer, timerAt, due, lastTime] = [null, Infinity, false, performance.now()];
    document.dispatchEvent(new CustomEvent("stepwell:change"));
    htmx.trigger(body, "live");
  }, at - performance.now());
}

function hear(message) {
  if (message.state) {
    state(message.state);
    settle(message.state);
  } else if (message.progress) refresh(PROGRESS_INTERVAL);
  else if (message.all || !runs || message.runs.some((run) => runs.includes(run))) refresh(LEAST_INTERVAL);
}

function connect() {
  const own = body.dataset.runs;
  runs = own ? own.split(" ") : null;
  if ("SharedWorker" in globalThis) share();
  else alone();
}

/** One stream for all tabs, in a worker. */
function share() {
  const worker = new SharedWorker(body.dataset.worker, { type: "module", name: "stepwell" });
  worker.port.onmessage = ({ data }) => hear(data);
  worker.port.postMessage({ open: EVENTS });
  addEventListener("pagehide", () => worker.port.postMessage({ close: true }));
  // A page from the cache of the browser has missed events.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    worker.port.postMessage({ open: EVENTS });
    refresh(0);
  });
}

/** A stream of this tab, as long as somebody sees it: six of them are all that a browser opens. It goes on where it was. */
function alone() {
  let stream = null;
  const follow = () => {
    if (document.hidden) stream?.close();
    else if (stream) stream.reopen();
    else stream = new Stream(EVENTS, hear);
  };
  follow();
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => stream?.close());
  addEventListener("pageshow", (event) => event.persisted && follow());
}

if (body.dataset.worker) {
  connect();
  setInterval(() => document.querySelector("[data-due]") && refresh(LEAST_INTERVAL), DUE_INTERVAL);
  document.addEventListener("visibilitychange", () => due && !document.hidden && refresh(0));
}

// The stream of events, and what keeps it alive. A browser reconnects by itself only after a stream that was answered
// with 200; after a refused connection or an error it gives up, so this makes a new one, ever more slowly.

const FIRST_WAIT = 400;
const LONGEST_WAIT = 8000;
// Many events become one message.
const GATHER = 150;

export class Stream {
  #url;
  #tell;
  #source = null;
  #newest = 0;
  #wait = FIRST_WAIT;
  #timer = null;
  #changed = null;
  #wasLost = false;

  /** `tell` gets `{state: "live" | "lost"}`, `{runs: [id], all}` after events, and `{progress: true}`. */
  constructor(url, tell) {
    this.#url = url;
    this.#tell = tell;
    this.#open();
  }

  close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  /** Opens a closed stream again, after the newest event that it has seen. */
  reopen() {
    if (this.#source) return;
    this.#wait = FIRST_WAIT;
    this.#wasLost = true;
    this.#open();
  }

  #open() {
    const after = this.#newest ? `${this.#url.includes("?") ? "&" : "?"}after=${this.#newest}` : "";
    const source = new EventSource(this.#url + after);
    this.#source = source;
    source.onopen = () => {
      this.#wait = FIRST_WAIT;
      this.#tell({ state: "live" });
      // What changed meanwhile is not all in the events: series and progress have none.
      if (this.#wasLost) this.#gather(null);
      this.#wasLost = false;
    };
    source.onerror = () => {
      this.#wasLost = true;
      this.#tell({ state: "lost" });
      if (source.readyState !== EventSource.CLOSED) return;
      source.close();
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#open(), this.#wait * (0.75 + Math.random() / 2));
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
    };
    source.onmessage = (event) => this.#event(event);
    source.addEventListener("progress", () => this.#tell({ progress: true }));
    source.addEventListener("reset", (event) => {
      this.#newest = Number(event.lastEventId) || 0;
      this.#gather(null);
    });
  }

  #event(event) {
    const id = Number(event.lastEventId);
    if (id && id <= this.#newest) return;
    if (id) this.#newest = id;
    let run = null;
    try { run = JSON.parse(event.data).run ?? null; } catch { /* an event of a newer server */ }
    this.#gather(run);
  }

  #gather(run) {
    if (!this.#changed) {
      this.#changed = new Set();
      setTimeout(() => {
        const runs = [...this.#changed];
        this.#changed = null;
        this.#tell(runs.includes(null) ? { all: true, runs: [] } : { all: false, runs });
      }, GATHER);
    }
    this.#changed.add(run);
  }
}

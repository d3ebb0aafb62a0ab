// The log of one attempt. What a program wrote is only ever text: lines become text nodes, never markup, and control
// characters are dropped (colours) or shown as `\x1b`.

const FIRST = 256 * 1024;
const PART = 512 * 1024;
const MOST_LINES = 20000;
const INTERVAL = 700;
/** Of a line without an end, such as a progress bar, only the end counts. */
const LONGEST = 64 * 1024;
const STYLE = /\x1b\[[0-9;:]*m/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

export function visible(line) {
  const redrawn = line.replace(/\r+$/, "");
  const last = redrawn.slice(redrawn.lastIndexOf("\r") + 1);
  return last.replace(STYLE, "").replace(CONTROL, (character) => {
    const code = character.codePointAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
}

class Log {
  #list;
  #scroller;
  #url;
  #from = 0;
  #at = 0;
  #decoder = new TextDecoder();
  #open = null;
  #busy = false;
  #isEnded;

  constructor(list) {
    this.#list = list;
    this.#scroller = list.parentElement;
    this.#url = list.dataset.log;
    this.#isEnded = list.dataset.ended !== undefined;
    this.#start(Number(list.dataset.size));
  }

  async #start(size) {
    this.#from = this.#at = Math.max(0, size - FIRST);
    if (this.#from > 0) this.#gap();
    await this.more();
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #gap() {
    const item = document.createElement("li");
    item.className = "gap";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Load from the start (${Math.ceil(this.#from / 1024)} KiB more)`;
    button.addEventListener("click", () => {
      this.#list.replaceChildren();
      [this.#from, this.#at, this.#open] = [0, 0, null];
      this.#decoder = new TextDecoder();
      this.more();
    });
    item.append(button);
    this.#list.append(item);
  }

  /** Reads what has been added, until there is nothing more. */
  async more() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (;;) {
        const answer = await fetch(this.#url, { headers: { Range: `bytes=${this.#at}-${this.#at + PART - 1}` } });
        if (answer.status === 416 || answer.status === 204) break;
        if (!answer.ok) break;
        const bytes = new Uint8Array(await answer.arrayBuffer());
        // The whole log, from a server that does not know ranges.
        const fresh = answer.status === 200 ? bytes.subarray(this.#at) : bytes;
        if (fresh.length === 0) break;
        this.#at += fresh.length;
        this.#add(this.#decoder.decode(fresh, { stream: true }));
        if (fresh.length < PART) break;
      }
    } catch {
      // The next change of the run tries again.
    } finally {
      this.#busy = false;
    }
  }

  #add(text) {
    const [list, scroller] = [this.#list, this.#scroller];
    const follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
    const lines = text.split("\n");
    const added = document.createDocumentFragment();
    lines.forEach((line, index) => {
      if (index === 0 && this.#open) {
        this.#open.raw = (this.#open.raw + line).slice(-LONGEST);
        this.#open.node.textContent = visible(this.#open.raw);
      } else if (index < lines.length - 1 || line !== "") {
        this.#open = this.#line(line, added);
      }
      if (index < lines.length - 1) this.#open = null;
    });
    list.append(added);
    while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    if (follows) scroller.scrollTop = scroller.scrollHeight;
  }

  #line(raw, added) {
    const item = document.createElement("li");
    const node = document.createElement("span");
    node.className = "t";
    node.textContent = visible(raw);
    item.append(node);
    added.append(item);
    return { raw, node };
  }

  get isEnded() {
    return this.#isEnded;
  }
}

const known = new WeakSet();
function start() {
  for (const list of document.querySelectorAll("[data-log]")) {
    if (known.has(list)) continue;
    known.add(list);
    const log = new Log(list);
    if (log.isEnded) continue;
    // A program's output has no events: the file is asked for while it is looked at.
    const timer = setInterval(() => {
      if (!list.isConnected) clearInterval(timer);
      else if (!document.hidden) log.more();
    }, INTERVAL);
  }
}
start();
// A search takes the place of the log, and its end brings the log back.
document.addEventListener("htmx:afterSettle", start);

// A model to try: a conversation or a text to continue, sent as any client of the API sends it.
import { events, mark, piece, row } from "./answers.js";

const form = document.querySelector("[data-playground]");
const find = (selector) => document.querySelector(selector);
const turns = find("[data-turns]");
const said = find("#said");
/** The conversation so far, as the API has it. */
let messages = [];
let stopping = null;

const mode = () => form.elements.mode.value;

function parameters() {
  const found = {};
  for (const input of form.querySelectorAll("[data-parameter]")) {
    if (input.value !== "" && input.validity.valid) found[input.dataset.parameter] = Number(input.value);
  }
  const stops = find("#stop").value.split("\n").filter(Boolean);
  if (stops.length) found.stop = stops;
  const top = Math.min(20, Math.max(0, Number(find("#top").value) || 0));
  if (find("#logprobs").checked) Object.assign(found, mode() === "chat" ? { logprobs: true, top_logprobs: top } : { logprobs: top });
  return found;
}

function request() {
  const model = find("#model").value;
  const text = said.value;
  if (mode() === "completion") return ["/v1/completions", { model, prompt: text, ...parameters() }];
  const system = find("#system").value.trim();
  const start = system ? [{ role: "system", content: system }] : [];
  const all = [...start, ...messages, ...(text ? [{ role: "user", content: text }] : [])];
  return ["/v1/chat/completions", { model, messages: all, ...parameters() }];
}

function describe() {
  const [url, body] = request();
  find("[data-request]").textContent = JSON.stringify({ custom_id: "request-1", method: "POST", url, body });
}

function turn(role, text) {
  const box = document.createElement("div");
  box.className = `turn ${role}`;
  const who = Object.assign(document.createElement("p"), { className: "muted small", textContent: role });
  const content = Object.assign(document.createElement("p"), { className: "said", textContent: text });
  box.append(who, content);
  turns.append(box);
  box.scrollIntoView({ block: "nearest" });
  return content;
}

function problem(text) {
  const place = find("[data-problem]");
  place.textContent = text ?? "";
  place.hidden = !text;
}

function state(text) {
  find("[data-told]").textContent = text;
}

function busy(controller) {
  stopping = controller;
  find("[data-send]").disabled = Boolean(controller);
  find("[data-stop]").disabled = !controller;
  turns.setAttribute("aria-busy", String(Boolean(controller)));
}

function showTokens(list) {
  const panel = find("[data-tokens]");
  panel.hidden = list.length === 0;
  find("[data-tokens-text]").replaceChildren(...list.map(mark));
  find("[data-tokens-rows]").replaceChildren(...list.map((token, index) => row(token, index + 1)));
  const known = list.map(({ logprob }) => logprob).filter((value) => typeof value === "number");
  const mean = known.reduce((sum, value) => sum + value, 0) / (known.length || 1);
  find("[data-tokens-sum]").textContent = known.length
    ? `${list.length} tokens, perplexity ${Math.exp(-mean).toPrecision(3)}`
    : "";
}

/** Why the server refuses, in its own words. */
async function refusal(answer) {
  const body = await answer.json().catch(() => null);
  const wait = answer.headers.get("Retry-After");
  return (body?.error?.message ?? `the server answers ${answer.status}`) + (wait ? ` (try again in ${wait} s)` : "");
}

function summary({ count, ended, first, start }) {
  const seconds = (performance.now() - start) / 1000;
  const whole = [`${count} tokens in ${seconds.toFixed(1)} s`];
  if (first !== null) {
    const after = (first - start) / 1000;
    if (count > 1 && seconds > after) whole.push(`${((count - 1) / (seconds - after)).toFixed(1)} tokens/s`);
    whole.push(`the first after ${after.toFixed(1)} s`);
  }
  const why = { stop: "ended by itself", length: "cut at its length", stopped: "stopped" }[ended] ?? "broken off";
  return `${whole.join(", ")}; ${why}`;
}

/** Asks, and adds to `place` what comes. */
async function ask(url, body, place, signal) {
  const start = performance.now();
  const told = { count: 0, ended: null, first: null, start };
  const tokens = [];
  let text = "";
  const headers = { "Content-Type": "application/json" };
  const sent = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } });
  try {
    const answer = await fetch(url, { method: "POST", headers, body: sent, signal });
    if (answer.status === 401) location.reload();
    if (!answer.ok) {
      problem(await refusal(answer));
      return { text, tokens, told: null };
    }
    for await (const data of events(answer.body)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (chunk.error) {
        problem(chunk.error.message);
        break;
      }
      const { text: more, tokens: found, ended, usage } = piece(chunk);
      if (more) {
        told.first ??= performance.now();
        told.count += Math.max(1, found.length);
        text += more;
        place.append(more);
        state(`${told.count} tokens`);
      }
      tokens.push(...found);
      told.ended = ended ?? told.ended;
      told.count = usage?.completion_tokens ?? told.count;
    }
  } catch (error) {
    if (error.name === "AbortError") told.ended = "stopped";
    else problem("The server does not answer any more.");
  }
  return { text, tokens, told };
}

async function send() {
  const [url, body] = request();
  const text = said.value;
  const isChat = mode() === "chat";
  const conversation = messages;
  problem(null);
  const mine = turn(isChat ? "user" : "prompt", text);
  const place = turn(isChat ? "assistant" : "continuation", "");
  const controller = new AbortController();
  busy(controller);
  state("waits for the model");
  const { text: answer, tokens, told } = await ask(url, body, place, controller.signal);
  busy(null);
  // Somebody has cleared the page meanwhile.
  if (conversation !== messages) return;
  state(told ? summary(told) : "");
  if (!told) {
    // Nothing was said: the message is still in its field.
    for (const one of [mine, place]) one.parentElement.remove();
    return;
  }
  showTokens(tokens);
  if (isChat) {
    messages.push({ role: "user", content: text }, { role: "assistant", content: answer });
    said.value = "";
  }
  describe();
  said.focus();
}

function clear() {
  stopping?.abort();
  messages = [];
  turns.replaceChildren();
  showTokens([]);
  problem(null);
  state("");
  describe();
}

function change() {
  const isChat = mode() === "chat";
  for (const element of form.querySelectorAll("[data-only=chat]")) element.hidden = !isChat;
  find("[data-said-label]").textContent = isChat ? "Message" : "Text to continue";
  describe();
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!stopping) send();
  });
  form.addEventListener("input", describe);
  form.addEventListener("change", ({ target }) => {
    if (target.name === "mode") clear();
    change();
  });
  said.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  find("[data-stop]").addEventListener("click", () => stopping?.abort());
  find("[data-clear]").addEventListener("click", clear);
  change();
}

// What every page does: theme, dialogs, copies, notices, times that pass, and the fate of requests.
import "./morph.js";
import "./live.js";
import "./filters.js";

const root = document.documentElement;

// Theme.
document.querySelector("[data-theme-button]")?.addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  dispatchEvent(new Event("stepwell:theme"));
});

// Dialogs, copies.
document.addEventListener("click", async ({ target }) => {
  const opener = target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
  const closer = target.closest("[data-close]");
  if (closer) closer.closest("dialog, .notice")?.[closer.closest("dialog") ? "close" : "remove"]();
  const copier = target.closest("[data-copy]");
  if (copier) {
    await navigator.clipboard?.writeText(copier.dataset.copy).catch(() => {});
    const before = copier.textContent;
    copier.textContent = "Copied";
    setTimeout(() => { copier.textContent = before; }, 1500);
  }
});

// Choices that are a request of their own.
document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-submits]")) target.form.requestSubmit();
});

// Notices stay for ten seconds, refusals until they are closed.
const notices = document.querySelector(".notices");
function notice(text, kind) {
  const box = document.createElement("div");
  box.className = `notice ${kind}`;
  const line = document.createElement("p");
  line.textContent = text;
  box.append(line);
  notices?.replaceChildren(box);
}
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target !== notices) return;
  detail.requestConfig.elt.closest("dialog")?.close();
  const box = notices.firstElementChild;
  if (box && !box.classList.contains("bad")) setTimeout(() => box.remove(), 10000);
});

// Refusals of the server are shown where they arise: their text is part of the answer.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.xhr.status === 401) {
    location.reload();
    return;
  }
  const isHtml = (detail.xhr.getResponseHeader("Content-Type") ?? "").startsWith("text/html");
  if (detail.xhr.status >= 400 && isHtml && detail.requestConfig.verb !== "get") detail.shouldSwap = true;
});
document.addEventListener("htmx:sendError", ({ detail }) => {
  if (detail.requestConfig.verb !== "get") notice("The server does not answer. Nothing was sent.", "bad");
});

// Times that pass: `<time data-since="…">` counts up without a request.
function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}
setInterval(() => {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("[data-since]")) {
    const text = duration(Date.now() / 1000 - Number(element.dataset.since));
    if (element.textContent !== text) element.textContent = text;
  }
  for (const element of document.querySelectorAll("time[data-local]")) localise(element);
}, 1000);

// The server writes times in UTC; people read their own.
function localise(element) {
  const at = new Date(element.dateTime);
  const today = at.toDateString() === new Date().toDateString();
  const text = at.toLocaleString([], today
    ? { hour: "2-digit", minute: "2-digit", second: "2-digit" }
    : { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  if (element.textContent !== text) element.textContent = text;
}
document.querySelectorAll("time[data-local]").forEach(localise);
document.addEventListener("htmx:afterSettle", () => document.querySelectorAll("time[data-local]").forEach(localise));

// Changes of state are read out, at most one in five seconds.
const spoken = document.querySelector("[data-spoken]");
let said = 0;
let before = document.querySelector("[data-say]")?.dataset.say;
document.addEventListener("htmx:afterSettle", () => {
  const now = document.querySelector("[data-say]")?.dataset.say;
  if (!spoken || !now || now === before || Date.now() - said < 5000) return;
  [before, said] = [now, Date.now()];
  spoken.textContent = now;
});

// A swap for htmx that changes only what differs, so that live updates keep focus, selection, scroll positions, open
// details and half-written fields. Elements with `data-keep` belong to other scripts and stay as they are.

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset?.key || "" : "");

const matches = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

// What a person changes and the server does not know.
const isOwnedByPerson = (element, name) =>
  (name === "open" && (element.nodeName === "DETAILS" || element.nodeName === "DIALOG")) ||
  (name === "value" && element.nodeName === "INPUT") ||
  (name === "checked" && element.nodeName === "INPUT");

function morphAttributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !isOwnedByPerson(from, name) && !name.startsWith("data-htmx")) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value && !isOwnedByPerson(from, name)) from.setAttribute(name, value);
  }
}

function morphChildren(from, to) {
  const keyed = new Map();
  for (const child of from.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let at = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const known = keyOf(wanted) ? keyed.get(keyOf(wanted)) : null;
    if (known && known !== at && matches(known, wanted)) {
      from.insertBefore(known, at);
      morph(known, wanted);
    } else if (at && matches(at, wanted)) {
      const next = at.nextSibling;
      morph(at, wanted);
      at = next;
    } else {
      from.insertBefore(wanted, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

export function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  if (from.hasAttribute("data-keep") || from.isEqualNode(to)) return;
  // The browser has made a local time, or a running one, of the text of the server.
  if (from.nodeName === "TIME" && to.nodeName === "TIME" && from.dateTime === to.dateTime && from.dataset.since === to.dataset.since) return;
  // What a person has open waits for the next update.
  if (from.nodeName === "DIALOG" && from.open) return;
  morphAttributes(from, to);
  if (from.nodeName !== "TEXTAREA") morphChildren(from, to);
}

htmx.defineExtension("morph", {
  isInlineSwap: (style) => style === "morph",
  handleSwap(style, target, fragment) {
    if (style !== "morph") return false;
    const wanted = fragment.nodeType === Node.DOCUMENT_FRAGMENT_NODE ? fragment.firstElementChild : fragment;
    if (!wanted) return [];
    morph(target, wanted);
    return [target];
  },
});

// Line numbers beside the text of a workflow, and the way to a wrong line.

function edit(area, gutter) {
  const number = () => {
    const wrong = new Set((area.dataset.wrong ?? "").split(" ").filter(Boolean).map(Number));
    const count = area.value.split("\n").length;
    const lines = Array.from({ length: count }, (_, index) => (wrong.has(index + 1) ? `! ${index + 1}` : `${index + 1}`));
    gutter.textContent = lines.join("\n");
    gutter.scrollTop = area.scrollTop;
  };
  const select = (line) => {
    const lines = area.value.split("\n");
    const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
    area.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(area).lineHeight));
  };
  number();
  area.addEventListener("input", number);
  area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
  area.addEventListener("keydown", (event) => {
    // Tab indents; after Escape it moves on, so that nobody is caught in the field.
    if (event.key === "Escape") {
      area.dataset.leaves = "true";
    } else if (event.key === "Tab" && !event.shiftKey && !area.dataset.leaves) {
      event.preventDefault();
      area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
      number();
    }
  });
  area.addEventListener("blur", () => delete area.dataset.leaves);
  for (const button of document.querySelectorAll("[data-line]")) {
    button.addEventListener("click", () => select(Number(button.dataset.line)));
  }
}

const known = new WeakSet();
const start = () => {
  const area = document.querySelector("[data-editor]");
  if (!area || known.has(area)) return;
  known.add(area);
  edit(area, document.querySelector("[data-gutter]"));
};
start();
// A refused text comes back as a new field.
document.addEventListener("htmx:afterSettle", start);

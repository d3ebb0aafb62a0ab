// The charts of a page: which there are, what they show, and when they are asked for again.
import { Chart } from "./chart.js";
import { load } from "./metrics.js";

/** Series that share a chart, most wanted first; every other series has one of its own. */
const GROUPS = [
  { title: "Loss", names: ["loss", "val_loss"] },
  { title: "Bits per byte", names: ["val_bits_per_byte", "bits_per_byte"] },
  { title: "Learning rate", names: ["learning_rate"] },
  { title: "Gradient norm", names: ["grad_norm"] },
  { title: "Tokens per second", names: ["tokens_per_second"] },
  { title: "Share of peak speed (MFU)", names: ["mfu"] },
  { title: "Seconds waiting for data", names: ["data_wait_seconds"] },
  { title: "Memory in bytes", names: ["memory_bytes"] },
];
/** Layers of one kind are in one chart. */
const LAYERS = { grad_norm: "Gradient norm by layer", update_ratio: "Update to weight ratio by layer" };
const INTERVAL = 900;

class Curves {
  #place;
  #charts = new Map();
  #sides;
  #options = { log: false, smooth: 0 };
  #busy = false;
  #again = false;
  #last = 0;
  #data = [];

  constructor(section) {
    this.section = section;
    this.#place = section.querySelector("[data-charts]");
    const others = JSON.parse(section.dataset.others || "[]");
    const { curves, step, name } = section.dataset;
    this.#sides = (curves ? [{ id: curves, name, step, main: true }] : []).concat(others);
    this.#controls();
    this.refresh();
    document.addEventListener("stepwell:change", () => this.refresh());
    addEventListener("stepwell:theme", () => {
      for (const chart of this.#charts.values()) chart.repaint();
      this.#show();
    });
  }

  #controls() {
    const form = document.querySelector("[data-curve-controls]");
    if (!form) return;
    const query = new URLSearchParams(location.search);
    form.elements.log.checked = query.get("log") === "on";
    form.elements.smooth.value = query.get("smooth") ?? "0";
    const read = () => {
      this.#options = { log: form.elements.log.checked, smooth: Number(form.elements.smooth.value) };
    };
    read();
    form.addEventListener("input", ({ target }) => {
      if (target.name !== "log" && target.name !== "smooth") return;
      read();
      const address = new URL(location);
      this.#options.log ? address.searchParams.set("log", "on") : address.searchParams.delete("log");
      this.#options.smooth > 0 ? address.searchParams.set("smooth", this.#options.smooth) : address.searchParams.delete("smooth");
      history.replaceState(history.state, "", address);
      this.#show();
    });
    form.addEventListener("change", ({ target }) => target.name === "step" && form.requestSubmit());
    form.addEventListener("submit", () => {
      // One field for all chosen runs.
      const chosen = [...form.querySelectorAll('[name="with"]:checked')];
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name: "with", value: chosen.map(({ value }) => value).join(",") });
      for (const box of form.querySelectorAll('[name="with"]')) box.disabled = true;
      if (chosen.length) form.append(field);
    });
  }

  async refresh() {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    const pause = INTERVAL - (performance.now() - this.#last);
    if (pause > 0 && this.#last) await new Promise((resolve) => setTimeout(resolve, pause));
    this.#last = performance.now();
    try {
      const sides = await Promise.all(this.#sides.map((side) => load(side, this.section.dataset.only)));
      this.#data = sides;
      this.#show();
    } catch {
      // The server is away; the next change asks again.
    }
    this.#busy = false;
    if (this.#again) {
      this.#again = false;
      this.refresh();
    }
  }

  /** The points of a series of the first run, as they were read. */
  points(name) {
    const { xs = [], ys = [] } = this.#data[0]?.get(name) ?? {};
    return xs.map((x, index) => [x, ys[index]]);
  }

  #show() {
    const marks = JSON.parse(this.section.dataset.marks || "[]");
    const several = this.#sides.length > 1;
    for (const { title, isMain, series } of groups(this.#data, this.#sides, several)) {
      let chart = this.#charts.get(title);
      if (!chart) {
        chart = new Chart(title, isMain);
        this.#charts.set(title, chart);
        this.#place.append(chart.figure);
      }
      chart.show(series, marks, this.#options);
    }
  }
}

function groups(data, sides, several) {
  const names = [...new Set(data.flatMap((series) => [...series.keys()]))];
  const found = GROUPS.filter((group) => group.names.some((name) => names.includes(name))).map((group) => ({ ...group }));
  for (const name of names) {
    if (found.some((group) => group.names.includes(name))) continue;
    const [kind] = name.split("/");
    const title = name.includes("/") ? LAYERS[kind] ?? kind : name.replaceAll("_", " ");
    const group = found.find((other) => other.title === title);
    if (group) group.names.push(name);
    else found.push({ title, names: [name] });
  }
  return found.map(({ title, names: own }, index) => ({
    title,
    isMain: index === 0,
    series: data.flatMap((series, side) => own.filter((name) => series.has(name)).map((name) => {
      const at = own.indexOf(name);
      return {
        label: several ? (own.length > 1 ? `${sides[side].name}: ${name}` : sides[side].name) : name,
        ...series.get(name),
        // Runs differ by colour and series by dash; series of one run by both.
        colour: several ? side : at,
        dash: several ? at : Math.floor(at / 6) + (own.length === 2 ? at : 0),
        points: name.startsWith("val_"),
      };
    })),
  }));
}

const start = () => {
  for (const section of document.querySelectorAll("[data-curves]")) if (!section.curves) section.curves = new Curves(section);
};
start();
// A chart may come with a later state of the page.
document.addEventListener("htmx:afterSettle", start);

// One chart: a figure with a legend, a plot, a sentence and a table.
import { colour, figure, rows, smooth, summary, variable } from "./series.js";

const DASHES = [[], [6, 4], [2, 3]];

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function stroke(index) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 6");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", "M0 3H16");
  line.setAttribute("class", `s${index.colour % 6}`);
  line.setAttribute("stroke-width", "2");
  line.setAttribute("stroke-dasharray", DASHES[index.dash % 3].map((part) => part / 2).join(" "));
  svg.append(line);
  return svg;
}

/** Vertical lines: where attempts resumed, phases began and the run was forked. */
function marks(getMarks) {
  return (plot) => {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    let free = -Infinity;
    for (const mark of getMarks()) {
      const x = Math.round(plot.valToPos(mark.at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = variable(mark.kind === "resume" ? "--warn" : "--line-strong");
      ctx.fillStyle = variable("--muted");
      ctx.lineWidth = ratio;
      ctx.setLineDash(mark.kind === "resume" ? [4 * ratio, 4 * ratio] : []);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const width = ctx.measureText(mark.text).width;
      if (x <= free || x + width > bbox.left + bbox.width) continue;
      ctx.textAlign = "left";
      ctx.fillText(mark.text, x + 3 * ratio, bbox.top + 11 * ratio);
      free = x + width + 8 * ratio;
    }
    ctx.restore();
  };
}

export class Chart {
  #plot = null;
  #shape = "";
  #data = [[]];
  #series = [];
  #marks = [];
  #zoomed = false;

  constructor(title, isMain) {
    this.title = title;
    this.figure = element("figure", isMain ? "panel chart main-chart" : "panel chart");
    this.height = isMain ? 280 : 190;
    const caption = element("figcaption");
    caption.append(element("h3", "", title));
    this.legend = element("ul", "legend");
    caption.append(this.legend);
    this.place = element("div", "plot");
    this.place.setAttribute("role", "img");
    this.text = element("p", "summary");
    this.details = element("details");
    this.details.append(element("summary", "", "Table"));
    this.details.addEventListener("toggle", () => this.#table());
    this.figure.append(caption, this.place, this.text, this.details);
    new ResizeObserver(() => this.#plot?.setSize({ width: this.place.clientWidth, height: this.height })).observe(this.place);
  }

  /** `series`: `[{label, xs, ys, colour, dash}]`; `options`: `{log, smooth}`. */
  show(series, marksOfRun, options) {
    this.#marks = marksOfRun;
    this.#series = series;
    const tables = series.map(({ xs, ys }) => [xs, smooth(xs, ys, options.smooth)]);
    const isLog = options.log && series.every(({ ys }) => ys.every((y) => typeof y !== "number" || y > 0));
    this.#data = tables.length === 1 ? tables[0] : tables.length ? uPlot.join(tables) : [[]];
    const shape = JSON.stringify([series.map(({ label, colour, dash }) => [label, colour, dash]), isLog]);
    if (shape !== this.#shape || !this.#plot) this.#draw(shape, isLog);
    else this.#plot.setData(this.#data, !this.#zoomed);
    this.#words();
    this.#table();
  }

  repaint() {
    this.#shape = "";
    this.#plot?.destroy();
    this.#plot = null;
  }

  #draw(shape, isLog) {
    this.#plot?.destroy();
    this.#shape = shape;
    this.#zoomed = false;
    const axis = { stroke: variable("--muted"), grid: { stroke: variable("--grid"), width: 1 }, ticks: { stroke: variable("--grid"), width: 1 }, font: "11px system-ui, sans-serif" };
    const options = {
      width: this.place.clientWidth || 600,
      height: this.height,
      legend: { show: false },
      scales: { x: { time: false }, y: { distr: isLog ? 3 : 1 } },
      axes: [
        { ...axis, size: 28, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString("en") : "")) },
        { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : figure(tick))) },
      ],
      cursor: { drag: { x: true, y: false }, sync: { key: "curves" }, points: { size: 6 } },
      series: [{}, ...this.#series.map((one) => ({
        stroke: colour(one.colour), width: 1.6, dash: DASHES[one.dash % 3], points: { show: one.xs.length < 3 || one.points === true, size: 5 },
      }))],
      hooks: {
        draw: [marks(() => this.#marks)],
        setCursor: [() => this.#values()],
        setSelect: [(plot) => { this.#zoomed = plot.select.width > 0 || this.#zoomed; }],
      },
    };
    this.#plot = new uPlot(options, this.#data, this.place);
    this.place.ondblclick = () => { this.#zoomed = false; };
    this.legend.replaceChildren(...this.#series.map((one) => {
      const item = element("li");
      item.append(stroke(one), element("span", "", one.label), element("span", "muted value"));
      return item;
    }));
  }

  #values() {
    const index = this.#plot?.cursor.idx;
    [...this.legend.children].forEach((item, at) => {
      const one = this.#series[at];
      const under = index === null || index === undefined ? undefined : this.#data[at + 1]?.[index];
      const value = under ?? one.ys[one.ys.length - 1];
      item.querySelector(".value").textContent = one.ys.length ? figure(value) : "";
    });
  }

  #words() {
    this.#values();
    const told = this.#series.map(({ label, xs, ys }) => summary(label, xs, ys)).join(" ");
    const marked = this.#marks.length ? ` Marks: ${this.#marks.slice(-8).map(({ text, at }) => `${text} at ${at}`).join(", ")}.` : "";
    if (this.text.textContent === told + marked) return;
    this.text.textContent = told + marked;
    this.place.setAttribute("aria-label", `${this.title}. ${told}`);
  }

  #table() {
    if (!this.details.open) return;
    const table = element("table");
    const head = table.createTHead().insertRow();
    for (const text of ["step", ...this.#series.map(({ label }) => label)]) {
      const cell = element("th", "", text);
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const [x, ...ys] of rows(this.#data[0], this.#data.slice(1))) {
      const row = body.insertRow();
      row.append(element("td", "", x.toLocaleString("en")), ...ys.map((y) => element("td", "", y === undefined ? "" : figure(y))));
    }
    const scroll = element("div", "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `${this.title}, as a table`);
    scroll.append(table);
    this.details.replaceChildren(this.details.firstChild, scroll);
  }
}

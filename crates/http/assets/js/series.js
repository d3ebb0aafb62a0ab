// Series as the API gives them, and what charts make of them: smoothing, summaries, tables.

/** Numbers as people read them. */
export function figure(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "not a number";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e9)) return value.toExponential(3).replace(/\.?0+e/, "e");
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
}

/** An exponential average whose weight follows the distance of points, so that it does not depend on how many there are. */
export function smooth(xs, ys, share) {
  if (share <= 0 || xs.length < 3) return ys;
  const width = Math.max(1e-9, (xs[xs.length - 1] - xs[0]) * share * 0.1);
  let mean = null;
  let last = null;
  return ys.map((y, index) => {
    if (y === null || y === undefined) return y;
    const keep = last === null ? 0 : Math.exp(-(xs[index] - last) / width);
    mean = mean === null ? y : keep * mean + (1 - keep) * y;
    last = xs[index];
    return mean;
  });
}

/** One sentence for people who do not see the chart. */
export function summary(label, xs, ys) {
  const points = xs.map((x, index) => [x, ys[index]]).filter(([, y]) => typeof y === "number");
  if (points.length === 0) return `${label}: no points yet.`;
  const [firstX, firstY] = points[0];
  const [lastX, lastY] = points[points.length - 1];
  let [low, high] = [points[0], points[0]];
  for (const point of points) {
    if (point[1] < low[1]) low = point;
    if (point[1] > high[1]) high = point;
  }
  const lost = ys.filter((y) => y === null).length;
  const gaps = lost ? `, ${lost} not a number` : "";
  return `${label}: ${figure(lastY)} at step ${lastX.toLocaleString("en")}, from ${figure(firstY)} at step ${firstX.toLocaleString("en")}; ` +
    `lowest ${figure(low[1])} at ${low[0].toLocaleString("en")}, highest ${figure(high[1])} at ${high[0].toLocaleString("en")}${gaps}.`;
}

/** At most `most` rows, evenly spaced, the last one always there. */
export function rows(xs, columns, most = 24) {
  const stride = Math.max(1, Math.ceil(xs.length / most));
  const chosen = [];
  for (let index = (xs.length - 1) % stride; index < xs.length; index += stride) {
    chosen.push([xs[index], ...columns.map((ys) => ys[index])]);
  }
  return chosen;
}

/** The colour of a series, from the style sheet. */
export function colour(index) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--s${(index % 6) + 1}`).trim();
}

export function variable(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

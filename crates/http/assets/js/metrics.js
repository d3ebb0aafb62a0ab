// Asks the server for the series of a step, in as many points as a chart shows.

const POINTS = 1000;
/** Names of series of layers, such as `grad_norm/layer.3`, in one request. */
const MOST_LAYERS = 48;

async function ask(side, names) {
  const query = new URLSearchParams({ step: side.step, points: POINTS });
  if (names) query.set("name", names.join(","));
  const answer = await fetch(`/api/v1/runs/${side.id}/metrics?${query}`);
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  const { series: [series] } = await answer.json();
  return series ?? { names: {}, lines: {} };
}

/** Series by name: `{xs, ys}`, where null is no number. `only` names the one that is wanted, with those of its chart. */
export async function load(side, only) {
  const { names, lines } = await ask(side, only ? [only, `val_${only}`] : null);
  const layers = Object.keys(names).filter((name) => name.includes("/")).slice(0, MOST_LAYERS);
  const more = !only && layers.length > 0 ? (await ask(side, layers)).lines : {};
  return new Map(Object.entries({ ...lines, ...more }).map(([name, { points }]) => [
    name, { xs: points.map(([x]) => x), ys: points.map(([, y]) => y) },
  ]));
}

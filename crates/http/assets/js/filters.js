// Saved filters of the list of runs, kept in this browser.

const KEY = "stepwell.filters";
const place = document.querySelector("[data-saved-filters]");

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one?.name === "string" && typeof one?.query === "string") : [];
  } catch {
    return [];
  }
}

function keep(filters) {
  localStorage.setItem(KEY, JSON.stringify(filters.slice(0, 20)));
  show();
}

function button(text, label, act) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "plain";
  element.textContent = text;
  if (label) element.setAttribute("aria-label", label);
  element.addEventListener("click", act);
  return element;
}

function show() {
  const filters = load();
  const items = filters.map(({ name, query }) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.className = "tag";
    link.href = `/runs?${query}`;
    link.textContent = name;
    if (query === current()) link.setAttribute("aria-current", "true");
    item.append(link, button("×", `Remove the filter ${name}`, () => keep(load().filter((one) => one.query !== query))));
    return item;
  });
  if (current() && !filters.some((one) => one.query === current())) {
    const item = document.createElement("li");
    item.append(button("Save this filter", null, () => {
      const name = [...new URLSearchParams(current()).values()].join(" ");
      keep([...load(), { name, query: current() }]);
    }));
    items.push(item);
  }
  place.replaceChildren(...items);
  place.hidden = items.length === 0;
}

function current() {
  const query = new URLSearchParams(location.search);
  query.delete("after");
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  return query.toString();
}

if (place) {
  show();
  addEventListener("popstate", show);
  document.addEventListener("htmx:pushedIntoHistory", show);
}

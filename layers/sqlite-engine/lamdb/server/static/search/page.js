// The search page: one request for each change of what is typed or chosen, none of whose answers comes too late.

const TAKE = 20;
const BEGIN = "\u0002";
const END = "\u0003";

const models = JSON.parse(document.body.dataset.models);
const find = (id) => document.getElementById(id);
const [form, query, modelList, orderList, status, facetList, hitList, more] = [
  "form", "query", "model", "order", "status", "facets", "hits", "more",
].map(find);
const token = new URLSearchParams(location.hash.slice(1)).get("token");

const address = new URLSearchParams(location.search);
let model = models.find((each) => each.name === address.get("model")) ?? models[0];
let chosen = new Map();
let hits = [];
let running;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A text with the matches that the server has put between two signs. */
function marked(text) {
  const made = document.createDocumentFragment();
  for (const [place, part] of text.split(BEGIN).entries()) {
    const [inside, outside = ""] = place ? part.split(END) : ["", part];
    if (inside) made.append(element("mark", { textContent: inside }));
    made.append(outside);
  }
  return made;
}

function words(name) {
  const text = name.replaceAll("_", " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return text[0].toUpperCase() + text.slice(1);
}

// The request

const TAGS = "pre: $begin, post: $end, escape: false";

function documentOf({ name, title, texts, facets, values }, order) {
  const shown = texts.map((field, place) => `s${place}: snippet(field: ${field}, words: 28, ${TAGS})`);
  const record = values.length ? `node { ${values.join(" ")} }` : "";
  const listed = facets.length ? ", facets: $facets" : "";
  const counts = facets.length ? "facets { field values { value count } stats { min max } }" : "";
  const declared = facets.length ? `, $facets: [${name}SearchFacetInput!]` : "";
  const sorted = order ? `, orderBy: { ${order.replace(" ", ": ")} }` : "";
  return `query Search($query: String!, $skip: Int, $take: Int, $begin: String, $end: String${declared}) {
    search${name}(query: $query, skip: $skip, take: $take${listed}${sorted}) {
      totalCount correctedQuery tookMs ${counts}
      hits { score title: highlight(field: ${title}, ${TAGS}) ${shown.join(" ")} ${record} }
    }
  }`;
}

async function ask(skip, signal) {
  const facets = model.facets.map(({ name, kind }) => ({
    field: name,
    ...(kind === "number" ? { take: 0 } : { take: 8, disjunctive: true }),
    ...(chosen.get(name) ?? {}),
  }));
  const variables = { query: query.value, skip, take: TAKE, begin: BEGIN, end: END, facets };
  if (!facets.length) delete variables.facets;
  const response = await fetch(token ? "/search" : "/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ query: documentOf(model, orderList.value), variables }),
    signal,
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors[0].message);
  return data[`search${model.name}`];
}

async function search({ continued = false } = {}) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  hitList.ariaBusy = "true";
  if (!continued) remember();
  try {
    const found = await ask(continued ? hits.length : 0, signal);
    if (!signal.aborted) show(found, continued);
  } catch (error) {
    if (error.name === "AbortError") return;
    status.className = "failed";
    status.textContent = error.message;
  } finally {
    if (!signal.aborted) hitList.ariaBusy = "false";
  }
}

/** Keeps the search in the page's address, so that it can be shared and reloaded. */
function remember() {
  const kept = new URLSearchParams();
  if (query.value) kept.set("q", query.value);
  if (model !== models[0]) kept.set("model", model.name);
  if (orderList.value) kept.set("order", orderList.value);
  if (chosen.size) kept.set("chosen", JSON.stringify([...chosen]));
  history.replaceState(null, "", `${location.pathname}${kept.size ? `?${kept}` : ""}${location.hash}`);
}

// The answer

function show(found, continued) {
  const numbers = new Intl.NumberFormat();
  status.className = "";
  const corrected = found.correctedQuery ? ` for “${found.correctedQuery}”` : "";
  const count = `${numbers.format(found.totalCount)} ${found.totalCount === 1 ? "result" : "results"}`;
  status.textContent = `${count}${corrected} · ${found.tookMs.toFixed(1)} ms`;
  hits = continued ? [...hits, ...found.hits] : found.hits;
  const items = found.hits.map(item);
  if (continued) hitList.append(...items);
  else hitList.replaceChildren(...items);
  more.hidden = hits.length >= Math.min(found.totalCount, 10_000);
  if (!continued) showFacets(found.facets ?? []);
}

function item(hit) {
  const made = element("li", { tabIndex: -1 }, element("h2", {}, marked(hit.title ?? "–")));
  const texts = model.texts.map((_, place) => hit[`s${place}`]).filter(Boolean);
  const matching = texts.filter((text) => text.includes(BEGIN));
  const longest = texts.reduce((one, other) => (other.length > one.length ? other : one), "");
  for (const text of matching.length ? matching.slice(0, 2) : [longest].filter(Boolean)) {
    made.append(element("p", {}, marked(text)));
  }
  const values = model.values.map((name) => [name, hit.node?.[name]]).filter(([, value]) => value !== null && value !== undefined);
  if (values.length) {
    const text = values.map(([name, value]) => `${words(name)} ${value}`).join(" · ");
    made.append(element("p", { className: "values", textContent: text }));
  }
  return made;
}

function showFacets(found) {
  const focused = document.activeElement?.id;
  const groups = found.map((facet) => {
    const { kind } = model.facets.find((each) => each.name === facet.field);
    return kind === "number" ? range(facet) : list(facet);
  });
  facetList.replaceChildren(...groups.filter(Boolean));
  if (focused?.startsWith("facet-")) find(focused)?.focus();
}

function list({ field, values }) {
  const selected = new Set(chosen.get(field)?.values ?? []);
  const known = values.filter(({ value }) => value !== null);
  const absent = [...selected].filter((value) => !known.some((each) => each.value === value));
  const all = [...known, ...absent.map((value) => ({ value, count: 0 }))];
  if (!all.length) return null;
  const labels = all.map(({ value, count }) => {
    const box = element("input", { type: "checkbox", checked: selected.has(value), id: `facet-${field}-${value}` });
    box.addEventListener("change", () => {
      if (box.checked) selected.add(value);
      else selected.delete(value);
      choose(field, selected.size ? { values: [...selected] } : null);
    });
    return element("label", {}, box, element("span", { className: "value", textContent: value }), element("span", { className: "count", textContent: count }));
  });
  return element("fieldset", {}, element("legend", { textContent: words(field) }), ...labels);
}

function range({ field, stats }) {
  const given = chosen.get(field) ?? {};
  if (!stats && !chosen.has(field)) return null;
  const inputs = ["min", "max"].map((bound) => {
    const input = element("input", {
      type: "number", step: "any", id: `facet-${field}-${bound}`, value: given[bound] ?? "", placeholder: stats?.[bound] ?? "",
    });
    input.ariaLabel = `${words(field)}, ${bound === "min" ? "least" : "most"}`;
    input.addEventListener("change", () => {
      const made = { ...(chosen.get(field) ?? {}) };
      if (input.value === "") delete made[bound];
      else made[bound] = Number(input.value);
      choose(field, Object.keys(made).length ? made : null);
    });
    return input;
  });
  const pair = element("div", { className: "range" }, inputs[0], "–", inputs[1]);
  return element("fieldset", {}, element("legend", { textContent: words(field) }), pair);
}

function choose(field, value) {
  if (value) chosen.set(field, value);
  else chosen.delete(field);
  search();
}

// What is typed and chosen

function offer() {
  orderList.replaceChildren(element("option", { value: "", textContent: "Relevance" }));
  for (const name of model.orders) {
    orderList.append(
      element("option", { value: `${name} asc`, textContent: `${words(name)}, ascending` }),
      element("option", { value: `${name} desc`, textContent: `${words(name)}, descending` }),
    );
  }
}

function move(step) {
  const items = [...hitList.children];
  const at = items.indexOf(document.activeElement) + step;
  if (at < 0) query.focus();
  else items[Math.min(at, items.length - 1)]?.focus();
}

query.addEventListener("input", () => search());
form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
orderList.addEventListener("change", () => search());
modelList.addEventListener("change", () => {
  model = models[modelList.selectedIndex];
  chosen = new Map();
  offer();
  search();
});
more.addEventListener("click", () => search({ continued: true }));
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input[type=number], select");
  if (event.key === "/" && event.target !== query && !typing) {
    event.preventDefault();
    query.select();
  } else if (event.key === "Escape" && event.target !== query) {
    query.focus();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !typing && !event.target.matches("[type=checkbox]")) {
    event.preventDefault();
    move(event.key === "ArrowDown" ? 1 : -1);
  }
});

// Beside the results the filters are always open; above them, only when they are wanted.
const isWide = matchMedia("(min-width: 44.01rem)");
const arrange = () => {
  find("filters").open = isWide.matches;
};
isWide.addEventListener("change", arrange);
arrange();

if (!models.length) {
  status.textContent = "No model is searched: declare one with /// @lamdb.search.";
  query.disabled = true;
} else {
  modelList.append(...models.map(({ name }) => element("option", { textContent: name, selected: name === model.name })));
  modelList.hidden = models.length === 1;
  offer();
  query.value = address.get("q") ?? "";
  orderList.value = address.get("order") ?? "";
  if (orderList.selectedIndex < 0) orderList.value = "";
  try {
    const known = new Set(model.facets.map(({ name }) => name));
    chosen = new Map(JSON.parse(address.get("chosen") ?? "[]").filter(([name]) => known.has(name)));
  } catch {
    chosen = new Map();
  }
  search();
}

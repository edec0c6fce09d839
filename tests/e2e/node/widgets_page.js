// The page that `widgets.mjs` opens: InstantSearch with lamDB's search client, as a shop would use it.
import { createSearchClient } from "/client/index.js";

const { url, token, infinite } = Object.fromEntries(new URLSearchParams(location.search));
const searchClient = createSearchClient({
  url,
  token,
  indices: {
    products: {
      model: "Product",
      id: "sku",
      node: "title brand price rating",
      highlight: ["title", "brand"],
      snippet: ["description:5"],
      hierarchies: { categories: ["category", "kind"] },
    },
    products_price_asc: { of: "products", orderBy: { price: "asc" } },
  },
});
const { widgets } = window.instantsearch;
const search = window.instantsearch({ indexName: "products", searchClient });
const item = (hit, { html, components }) => html`
  <b>${components.Highlight({ hit, attribute: "title" })}</b> ${components.Highlight({ hit, attribute: "brand" })}
  <span class="price">${hit.price}</span> <span class="rating">${hit.rating}</span> <i>${components.Snippet({ hit, attribute: "description" })}</i>`;
search.on("error", ({ error }) => console.error(String(error)));
search.addWidgets([
  widgets.configure({ hitsPerPage: 5 }),
  widgets.searchBox({ container: "#searchbox", placeholder: "Search" }),
  widgets.stats({ container: "#stats" }),
  widgets.sortBy({
    container: "#sort",
    items: [
      { label: "Best", value: "products" },
      { label: "Cheapest", value: "products_price_asc" },
    ],
  }),
  widgets.hierarchicalMenu({ container: "#menu", attributes: ["categories.lvl0", "categories.lvl1"] }),
  widgets.refinementList({ container: "#brands", attribute: "brand", searchable: true }),
  widgets.rangeInput({ container: "#price", attribute: "price" }),
  widgets.rangeSlider({ container: "#rating", attribute: "rating", pips: false }),
  widgets.toggleRefinement({ container: "#available", attribute: "available", on: true }),
  infinite
    ? widgets.infiniteHits({ container: "#hits", templates: { item } })
    : widgets.hits({ container: "#hits", templates: { item } }),
  ...(infinite ? [] : [widgets.pagination({ container: "#pagination" })]),
]);
search.start();

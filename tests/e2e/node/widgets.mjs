// Uses InstantSearch's widgets in Chromium, on a page of another origin than the server's, and prints what it saw.
// Usage: node widgets.mjs <url of the server> <token> <origin of the page> <chromium> <profile directory> <screenshot.png>
import { readFile } from "node:fs/promises";
import { basename } from "node:path";

import { chromium } from "playwright-core";

const [server, token, origin, executablePath, profile, screenshot] = process.argv.slice(2);
const here = (path) => new URL(path, import.meta.url);
const FILES = {
  "/": [here("widgets.html"), "text/html"],
  "/page.js": [here("widgets_page.js"), "text/javascript"],
  "/instantsearch.js": [here("node_modules/instantsearch.js/dist/instantsearch.production.min.js"), "text/javascript"],
};
const seen = { console: [], requests: [], steps: {} };

const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  viewport: { width: 1100, height: 760 },
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The page's host does not exist, which counts as a public one; the server is on this machine.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
  ],
});
await context.route(`${origin}/**`, async (route) => {
  const { pathname } = new URL(route.request().url());
  const client = here(`../../../packages/instantsearch/src/${basename(pathname)}`);
  const [file, contentType] = FILES[pathname] ?? (pathname.startsWith("/client/") ? [client, "text/javascript"] : []);
  if (!file) return await route.fulfill({ status: 204 });
  await route.fulfill({ contentType: `${contentType}; charset=utf-8`, body: await readFile(file) });
});
const page = context.pages()[0];
page.on("console", (message) => seen.console.push(`${message.type()}: ${message.text()}`));
page.on("pageerror", (error) => seen.console.push(`exception: ${error}`));
page.on("request", (request) => {
  if (request.url().startsWith(server)) seen.requests.push(request.method());
});
const texts = (selector) => page.locator(selector).allTextContents();
const asked = new URLSearchParams({ url: `${server}/search`, token });
const ratings = async () => (await texts("#hits .rating")).map(Number);
const prices = async () => (await texts("#hits .price")).map(Number);

/** Does something, waits for the searches it causes, and notes what the page shows then. */
async function step(name, act, { isKept = false } = {}) {
  const before = seen.requests.length;
  const posted = (each) => each.url().startsWith(server) && each.request().method() === "POST";
  const [response] = await Promise.all([isKept ? null : page.waitForResponse(posted, { timeout: 15_000 }), act()]).catch(
    (error) => {
      throw new Error(`${name}: ${error.message} ${JSON.stringify(seen)}`);
    },
  );
  await response?.finished();
  await page.evaluate(() => new Promise((done) => setTimeout(() => requestAnimationFrame(done), 50)));
  seen.steps[name] = {
    requests: seen.requests.slice(before).filter((method) => method === "POST").length,
    stats: (await texts(".ais-Stats-text"))[0],
    hits: await texts("#hits li b"),
    marks: await texts("#hits b .ais-Highlight-highlighted, #hits b mark"),
    snippets: await texts("#hits i"),
    menu: await texts("#menu .ais-HierarchicalMenu-link"),
    brands: await texts("#brands .ais-RefinementList-labelText, #brands .ais-RefinementList-count"),
    pages: await texts("#pagination .ais-Pagination-item--page"),
    prices: await prices(),
    ratings: await ratings(),
  };
}

await step("start", () => page.goto(`${origin}/?${asked}`));
await step("pages", () => page.click('#pagination a[aria-label="Page 2"], #pagination a:text-is("2")'));
await step("sorted", () => page.selectOption("#sort select", "products_price_asc"));
await step("typed", () => page.fill("#searchbox input", "wireles"));
await step("cleared", () => page.click("#searchbox button[type=reset]"), { isKept: true });
await step("menu", () => page.click('#menu a:has-text("Audio")'));
await step("submenu", () => page.click('#menu a:has-text("Radios")'));
await step("menu closed", () => page.click('#menu a:has-text("Audio")'), { isKept: true });
await step("brand", () => page.click("#brands li:nth-child(1) input"));
await step("two brands", () => page.click("#brands li:nth-child(2) input"));
await step("facet values", () => page.fill("#brands input[type=search]", "cor"));
await page.fill("#brands input[type=search]", "");
await step("range", async () => {
  await page.fill("#price input.ais-RangeInput-input--min", "20");
  await page.fill("#price input.ais-RangeInput-input--max", "200");
  await page.click("#price button");
});
// Algolia's slider is drawn anew after each search, and loses the focus.
const handles = page.getByRole("group", { name: "Rating" }).getByRole("slider");
const slide = async (handle, key) => {
  await handle.focus();
  await page.keyboard.press(key);
};
const bounds = () =>
  handles.evaluateAll((found) => found.map((each) => ["min", "now", "max"].map((name) => each.getAttribute(`aria-value${name}`))));
seen.slider = { names: await handles.evaluateAll((found) => found.map((each) => each.ariaLabel)), start: await bounds() };
await step("slider: at least", () => slide(handles.first(), "ArrowRight"));
await step("slider: at most", () => slide(handles.last(), "ArrowLeft"));
seen.slider.narrow = await bounds();
await step("slider: all", () => slide(handles.last(), "End"), { isKept: true });
await step("slider: back", () => slide(handles.first(), "Home"));
await step("toggle", () => page.click("#available input"));
await step("in view", () => page.fill("#searchbox input", "wireles hedphones"));
await page.screenshot({ path: screenshot });

await step("infinite", () => page.goto(`${origin}/?infinite=1&${asked}`));
await step("more", () => page.click(".ais-InfiniteHits-loadMore"));

await context.close();
process.stdout.write(JSON.stringify(seen));

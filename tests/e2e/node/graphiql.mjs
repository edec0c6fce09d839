// Opens GraphiQL in Chromium, runs the query it starts with, looks at the documentation, and prints what it saw.
// Usage: node graphiql.mjs <url> <chromium> <profile directory> <screenshot.png> [<word of the query> <to complete>]
import { chromium } from "playwright-core";

const [url, executablePath, profile, screenshot, word = "findMany", typed = "{ findUniqueA"] = process.argv.slice(2);
const seen = { requests: [], failures: [], console: [], response: "", documentation: "", completions: [] };

const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  viewport: { width: 1280, height: 800 },
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const page = context.pages()[0];
context.on("request", (request) => seen.requests.push(request.url()));
context.on("requestfailed", (request) => seen.failures.push(`${request.url()} ${request.failure().errorText}`));
page.on("console", (message) => seen.console.push(`${message.type()}: ${message.text()}`));
page.on("pageerror", (error) => seen.console.push(`exception: ${error}`));

const shown = (selector, text) =>
  page.waitForFunction(
    ([within, wanted]) => document.querySelector(within)?.textContent.includes(wanted),
    [selector, text],
    { timeout: 30_000 },
  );

await page.goto(url);
await shown(".graphiql-query-editor .view-lines", word);
await page.click(".graphiql-execute-button");
await shown(".graphiql-response .view-lines", "data");
seen.response = await page.textContent(".graphiql-response .view-lines");

await page.click('.graphiql-sidebar button[aria-label="Show Documentation Explorer"]');
await shown(".graphiql-doc-explorer", "Mutation");
seen.documentation = await page.textContent(".graphiql-doc-explorer");

// Completion runs in a web worker, with the schema that introspection fetched.
await page.click(".graphiql-query-editor .view-lines");
await page.keyboard.press("Control+End");
await page.keyboard.type(typed);
await page.keyboard.press("Control+Space");
await page.waitForSelector(".suggest-widget .monaco-list-row", { timeout: 30_000 });
seen.completions = await page.locator(".suggest-widget .monaco-list-row").allTextContents();

await page.screenshot({ path: screenshot });
await context.close();
process.stdout.write(JSON.stringify(seen));

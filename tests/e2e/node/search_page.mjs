// Uses the search page in Chromium by the keyboard, in light and dark, and prints what it saw.
// Usage: node search_page.mjs <url of the page> <chromium> <profile directory> <light.png> <dark.png>
import { chromium } from "playwright-core";

const [url, executablePath, profile, light, dark] = process.argv.slice(2);
const seen = { requests: [], console: [], steps: {} };

const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  viewport: { width: 1100, height: 760 },
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = context.pages()[0];
context.on("request", (request) => seen.requests.push(request.url()));
page.on("console", (message) => seen.console.push(`${message.type()}: ${message.text()}`));
page.on("pageerror", (error) => seen.console.push(`exception: ${error}`));

async function step(name, act, wanted) {
  await act();
  await page.waitForFunction(
    (text) => document.getElementById("hits").ariaBusy === "false" && document.getElementById("status").textContent.includes(text),
    wanted,
    { timeout: 15_000 },
  );
  seen.steps[name] = {
    status: await page.textContent("#status"),
    titles: await page.locator("#hits h2").allTextContents(),
    marks: await page.locator("#hits mark").allTextContents(),
    facets: await page.locator("#facets legend").allTextContents(),
    focused: await page.evaluate(() => document.activeElement.textContent || document.activeElement.id),
    address: page.url(),
  };
}

await step("start", () => page.goto(url), "results");
await page.keyboard.press("Escape");
await step("typo", () => page.keyboard.type("wireles hedphones"), "wireless headphones");
await page.screenshot({ path: light });
await step("arrows", async () => {
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
}, "results");
await step("slash", () => page.keyboard.press("/"), "results");
await step("replaced", () => page.keyboard.type("cofee"), "coffee");
await step("faceted", async () => {
  await page.focus('#facets input[type="checkbox"][id="facet-brand-Birke"]');
  await page.keyboard.press("Space");
}, "1 result ");
await page.emulateMedia({ colorScheme: "dark" });
await page.screenshot({ path: dark });
await step("reloaded", () => page.reload(), "1 result ");
seen.ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);

await context.close();
process.stdout.write(JSON.stringify(seen));

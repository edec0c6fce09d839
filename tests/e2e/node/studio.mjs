// Works with the studio in Chromium as a user would, and prints what it saw as JSON.
// Usage: node studio.mjs <url> <chromium> <profile directory> <directory for screenshots> <pages of notes> [<token>]
import { join } from "node:path";

import { chromium } from "playwright-core";

const [url, executablePath, profile, shots, pages, token] = process.argv.slice(2);
const seen = { requests: [], failures: [], console: [], sql: [] };

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
context.setDefaultTimeout(15_000);
const page = context.pages()[0];
context.on("request", (request) => {
  seen.requests.push(request.url());
  if (request.url().endsWith("/pipeline")) seen.sql.push(request.postDataJSON().requests[0].stmt?.sql ?? "batch");
});
context.on("requestfailed", (request) => seen.failures.push(`${request.url()} ${request.failure().errorText}`));
page.on("console", (message) => seen.console.push(`${message.type()}: ${message.text()}`));
page.on("pageerror", (error) => seen.console.push(`exception: ${error}`));

const shot = (name) => page.screenshot({ path: join(shots, `${name}.png`) });
const grid = page.locator(".studio table");
const cell = (text) => grid.getByText(text, { exact: true });
const link = (name) => page.locator(".studio").getByRole("link", { name, exact: true });
const insert = page.getByRole("button", { name: "Insert row" });

process.on("uncaughtException", async (error) => {
  await shot("failed");
  console.error(error);
  console.error(JSON.stringify(seen.sql.slice(-3)), await page.locator("body").innerText());
  process.exit(1);
});

// Times are chosen by the second, and all that was done before this began is in the past of the one chosen here.
await new Promise((resolve) => setTimeout(resolve, 1_100));
const started = new Date();
await new Promise((resolve) => setTimeout(resolve, 1_100));

await page.goto(`${url}/studio`);
if (token) {
  await page.getByLabel("API key or token").fill(token);
  await page.keyboard.press("Enter");
}

// The user's own tables, and none of lamDB's.
await grid.waitFor();
await page.getByText("Note", { exact: true }).first().click();
await cell("note 1").waitFor();
seen.tables = await page.locator(".studio").getByText(/^(Note|Tag|Log|Short|_lamdb.*|_prisma.*)$/).allTextContents();
seen.canInsert = await insert.isVisible();
await page.getByText(pages, { exact: true }).last().waitFor();
await shot("table");

// Tables without a primary key, and views, have all their rows.
seen.withoutKey = {};
for (const [name, text] of [["Log", "same"], ["Short", "note 1"]]) {
  await page.getByText(name, { exact: true }).first().click();
  await cell(text).first().waitFor();
  seen.withoutKey[name] = await grid.locator("tbody tr").filter({ hasText: /\S/ }).count();
  await shot(name.toLowerCase());
}
await page.getByText("Note", { exact: true }).first().click();
await cell("note 1").waitFor();

if (!seen.canInsert) {
  await cell("note 2").dblclick();
  await page.keyboard.type("changed");
  await page.keyboard.press("Enter");
  seen.save = await page.getByRole("button", { name: /^Save/ }).count();
  await shot("read-only");
} else {
  // By keyboard alone: along the grid, into a cell, and to the button that saves.
  await cell("1").first().click();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("changed by keys");
  await page.keyboard.press("Enter");
  const save = page.getByRole("button", { name: /^Save/ });
  await save.waitFor();
  await save.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "yes, write to db" }).waitFor();
  await shot("saving");
  await page.keyboard.press("Enter");
  await save.waitFor({ state: "detached" });
  await cell("changed by keys").waitFor();
  seen.edited = true;
  await shot("edited");

}

if (seen.canInsert && Number(pages) > 30000) {
  // A page far into the table.
  await page.getByLabel("Page number").fill("30000");
  await page.keyboard.press("Enter");
  await cell("note 749976").waitFor();
  seen.far = true;

  // A filter.
  await page.getByLabel("Add filter").click();
  await page.getByLabel("Select column to filter").fill("text");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByText("Equal", { exact: true }).click();
  await page.getByLabel("Filter value for text").fill("note 77777");
  await page.keyboard.press("Enter");
  await cell("note 77777").waitFor();
  await cell("note 77776").waitFor({ state: "detached" });
  seen.filtered = true;
  await shot("filtered");
}

// Where the operator API is out of reach, a past state is chosen by its time.
const moment = page.getByLabel("State at", { exact: true });
if (seen.canInsert && (await moment.count())) {
  const local = new Date(started.getTime() - started.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  await moment.fill(local);
  await moment.press("Enter");
  await page.getByText("the past can only be read").waitFor();
  await page.getByText("Note", { exact: true }).first().click();
  await cell("note 2").waitFor();
  seen.insertsInThePast = await insert.isVisible();
  await shot("past");
  await page.getByRole("button", { name: "Back to now" }).click();
  await cell("changed by keys").waitFor();
} else if (seen.canInsert) {
  // The past, by keyboard: nothing can be changed in it.
  const time = page.getByLabel("Time", { exact: true });
  await time.focus();
  await time.press("ArrowLeft");
  await page.getByText("the past can only be read").waitFor();
  await page.getByText("Note", { exact: true }).first().click();
  await page.getByRole("button", { name: "Back to now" }).waitFor();
  await grid.waitFor();
  seen.insertsInThePast = await insert.isVisible();
  await shot("past");
  await page.getByRole("button", { name: "Back to now" }).click();

  for (const name of ["Restore points", "Migrations", "Status"]) {
    await page.getByRole("button", { name, exact: true }).click();
    await page.locator("main.text").getByText(/^(States that|Migrations, in|The database records|Files in)/).waitFor();
    await shot(name.toLowerCase().replace(" ", "-"));
  }
  await page.getByRole("button", { name: "Data", exact: true }).click();
}

// A phone: nothing is wider than the screen, and the list of tables makes room.
await page.setViewportSize({ width: 390, height: 844 });
await page.goto("about:blank");
await page.goto(`${url}/studio`);
await page.getByLabel("Open navigation").waitFor();
seen.width = await page.evaluate(() => document.documentElement.scrollWidth);
await shot("phone");

await context.close();
process.stdout.write(JSON.stringify(seen));

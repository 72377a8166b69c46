// The website in a real browser, on a real city: trains change station without a
// reload, totals grow, commands work, and nothing is asked of anybody else.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const url = process.env.ELL_URL;
assert.ok(url, "ELL_URL names the website to test");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"],
  });
});
after(() => browser?.close());

/** Opens a page that notes what goes wrong on it. */
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (e) => wrong.push(`error: ${e.message}`));
  page.on("console", (m) => m.type() === "error" && wrong.push(`console: ${m.text()}`));
  page.on("request", (r) => new URL(r.url()).origin !== new URL(url).origin && wrong.push(`foreign request: ${r.url()}`));
  page.on("dialog", (d) => wrong.push(`dialog: ${d.message()}`));
  await page.goto(url + path);
  return { page, wrong, close: () => context.close() };
}

/** Which train is at which platform, and the sum of all totals of one line. */
const look = (page) =>
  page.evaluate(() => {
    const at = {};
    let sum = 0;
    for (const tr of document.querySelectorAll('tr[data-line="red"]')) {
      for (const cell of [1, 2]) {
        for (const a of tr.cells[cell].querySelectorAll("a")) at[a.textContent] = `${tr.dataset.station}/${cell}`;
      }
      sum += Number(tr.cells[3].textContent);
    }
    return { at, sum, marked: window.marked === true, clock: document.querySelector('[data-live="clock"]').textContent };
  });

test("trains change station, totals grow and the clock runs without a reload", async () => {
  const { page, wrong, close } = await open("/");
  await page.evaluate(() => (window.marked = true)); // a reload would take the mark away
  const first = await look(page);
  assert.ok(Object.keys(first.at).length >= 5, `only ${Object.keys(first.at).length} red trains on the page`);
  await page.waitForFunction(
    (was) => {
      const now = {};
      for (const tr of document.querySelectorAll('tr[data-line="red"]')) {
        for (const cell of [1, 2]) for (const a of tr.cells[cell].querySelectorAll("a")) now[a.textContent] = `${tr.dataset.station}/${cell}`;
      }
      return Object.entries(was).filter(([id, at]) => now[id] && now[id] !== at).length >= 3;
    },
    first.at,
    { timeout: 30_000 },
  );
  await page.waitForFunction((sum) => [...document.querySelectorAll('tr[data-line="red"]')].reduce((n, tr) => n + Number(tr.cells[3].textContent), 0) > sum, first.sum, { timeout: 30_000 });
  const last = await look(page);
  assert.ok(last.marked, "the page was loaded again");
  assert.notEqual(last.clock, first.clock);
  assert.deepEqual(wrong, []);
  await close();
});

test("what is on the page is what the API says", async () => {
  const { page, wrong, close } = await open("/");
  await page.waitForTimeout(2000); // the stream is open by then
  await page.evaluate(() => fetch("/api/v1/clock", { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"paused":true}' }));
  await page.waitForFunction(() => document.querySelector('[data-live="speed"]').textContent === "paused", null, { timeout: 10_000 });
  await page.waitForTimeout(2500); // totals come at most once a second
  const stations = await (await page.request.get(`${url}/api/v1/stations`)).json();
  const list = stations.stations;
  const totals = new Map(list.map((s) => [String(s.id), s.entries]));
  const shown = await page.evaluate(() => [...document.querySelectorAll("tr[data-station]")].map((tr) => [tr.dataset.station, Number(tr.cells[3].textContent)]));
  for (const [id, total] of shown) assert.equal(total, totals.get(id), `station ${id}`);
  await page.evaluate(() => fetch("/api/v1/clock", { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"paused":false}' }));
  await page.waitForFunction(() => document.querySelector('[data-live="speed"]').textContent !== "paused", null, { timeout: 10_000 });
  assert.deepEqual(wrong, []);
  await close();
});

test("without JavaScript the page says the same at the moment it was asked for", async () => {
  const { page, close } = await open("/", { javaScriptEnabled: false });
  assert.equal(await page.locator("tr[data-station]").count() > 180, true);
  assert.ok((await page.locator('tr[data-line="blue"] a[href^="/train/BL"]').count()) > 5);
  assert.match(await page.locator("header").innerText(), /City time .* 2026/);
  await close();
});

test("a page of another origin cannot command the city", async () => {
  const { page, close } = await open("/");
  await page.goto("data:text/html,<p>elsewhere</p>");
  const answer = await page.evaluate((u) => fetch(`${u}/api/v1/clock`, { method: "POST", body: '{"paused":true}' }).then((r) => r.status, () => "refused"), url);
  assert.ok(answer === "refused" || answer === 403, `answered ${answer}`);
  const clock = await (await page.request.get(`${url}/api/v1/clock`)).json();
  assert.equal(clock.paused, false);
  await close();
});

for (const [path, name] of [["/", "system"], ["/line/red", "line"], ["/station/40380", "station"], ["/pipeline", "pipeline"]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing on the ${name} page, ${colorScheme}`, async () => {
      const { page, wrong, close } = await open(path, { colorScheme, bypassCSP: true });
      await page.evaluate(axe);
      const found = await page.evaluate(() => window.axe.run());
      assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes[0].html}`), []);
      assert.deepEqual(wrong, []);
      await close();
    });
  }
  test(`the ${name} page fits a phone`, async () => {
    const { page, close } = await open(path, { viewport: { width: 360, height: 740 } });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 360, `${wide} pixels wide`);
    await close();
  });
}

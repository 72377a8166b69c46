// The website in a real browser, on a real city: trains change station without a
// reload, totals grow, commands work, and nothing is asked of anybody else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { app, command, open, url } from "./page.mjs";

/** The table of a line: which trains stand beside which station, and its total. */
const look = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll('tr:has(a[href^="/station/"])')].map((tr) => ({
      station: tr.querySelector('a[href^="/station/"]').getAttribute("href").split("/").at(-1),
      trains: [...tr.querySelectorAll('a[href^="/train/"]')].map((a) => a.textContent.trim()).join(),
      total: Number(tr.cells[3].textContent.replaceAll(/[^0-9]/g, "")),
    })),
  );
const sum = (rows) => rows.reduce((n, r) => n + r.total, 0);

test("a line's page is live: trains change station and totals grow without a reload", async () => {
  const { page, wrong, close } = await app("/line/red");
  await page.evaluate(() => (window.marked = true)); // a reload would take the mark away
  const first = await look(page);
  assert.equal(first.length, 33);
  assert.ok(first.filter((r) => r.trains).length >= 5, "hardly a train on the page");
  let last = first;
  for (let i = 0; i < 60 && (sum(last) <= sum(first) || last.filter((r, k) => r.trains !== first[k].trains).length < 6); i++) {
    await page.waitForTimeout(500);
    last = await look(page);
  }
  assert.ok(sum(last) > sum(first), `totals stay at ${sum(first)}`);
  assert.ok(last.filter((r, k) => r.trains !== first[k].trains).length >= 6, "trains do not change station");
  assert.equal(await page.evaluate(() => window.marked), true, "the page was loaded again");
  assert.deepEqual(wrong, []);
  await close();
});

test("what is on a line's page is what the API says", async () => {
  const { page, wrong, close } = await app("/line/blue");
  assert.ok((await command({ paused: true })).ok);
  try {
    await page.waitForTimeout(3500); // totals come at most once a second
    const { stations } = await (await page.request.get(`${url}/api/v1/stations`)).json();
    const totals = new Map(stations.map((s) => [String(s.id), s.entries]));
    for (const r of await look(page)) assert.equal(r.total, totals.get(r.station), `station ${r.station}`);
  } finally {
    await command({ paused: false });
  }
  await page.waitForTimeout(1000);
  assert.deepEqual(wrong, []);
  await close();
});

/** Where each train is, in words, from the list of trains. */
const whereabouts = (page) =>
  page.evaluate(() => Object.fromEntries([...document.querySelectorAll("#list li")].map((li) => [li.children[0].textContent, li.children[1].textContent])));

test("on the map trains glide, and the list says where each is", async () => {
  const { page, wrong, close } = await app("/?list=trains");
  await page.evaluate(() => (window.marked = true));
  const first = await whereabouts(page);
  assert.ok(Object.keys(first).length > 80, `only ${Object.keys(first).length} trains`);
  const picture = () => page.locator("canvas").last().screenshot();
  const before = await picture();
  await page.waitForTimeout(1000);
  assert.notDeepEqual(await picture(), before, "nothing moves on the map");
  await page.waitForTimeout(3000);
  const later = await whereabouts(page);
  const moved = Object.keys(first).filter((id) => later[id] && later[id] !== first[id]);
  assert.ok(moved.length > 10, `only ${moved.length} trains went on`);
  assert.equal(await page.evaluate(() => window.marked), true, "the page was loaded again");
  assert.deepEqual(wrong, []);
  await close();
});

test("who wants no motion sees none", async () => {
  const { page, close } = await app("/", { reducedMotion: "reduce" });
  await page.waitForTimeout(1500);
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  await close();
});

test("links of the map lead to pages that are there", async () => {
  const { page, wrong, close } = await app("/");
  await page.locator('a[href="/line/red"]').first().click();
  await page.waitForURL("**/line/red");
  await page.locator("text=Howard").first().waitFor();
  assert.match(await page.locator("body").innerText(), /Jarvis/);
  await page.goBack();
  await page.waitForFunction(() => window.ellMap?.drawn.length > 0);
  assert.deepEqual(wrong, []);
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

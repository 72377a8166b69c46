// What each view shows, on a real city: the map's sidebar, a line, a station, a
// train, the pipeline with its topics, the search.
import assert from "node:assert/strict";
import { test } from "node:test";
import { app, command, get, map } from "./page.mjs";

/** What a canvas shows, as a short text that changes with it. */
const picture = (locator) => locator.evaluate((c) => c.toDataURL());

const inService = async () => (await get("/api/v1/trains")).trains.filter((t) => t.status === "in_service");

test("beside the map: each line with its word, how often trains come, entries, weather and the city's clock", async () => {
  await command({ speed: 30, paused: false });
  const { page, wrong, close } = await map("/");
  const aside = page.locator("aside");
  const { lines } = await get("/api/v1/network");
  await page.waitForFunction(() => window.ellLive.status.size === 8);
  for (const l of lines) {
    const row = aside.locator("li", { has: page.getByRole("link", { name: l.name, exact: true }) });
    assert.match(await row.innerText(), /Good service|Delays|Slow|Long waits|No service|Not scheduled/, l.name);
    assert.match(await row.innerText(), /\d+ trains?/, l.name);
  }
  await aside.getByText(/every\s+[\d–]+ min.*timetable [\d–]+/).first().waitFor({ timeout: 40_000 });
  const service = Number(await aside.locator("dd").first().innerText());
  assert.ok(Math.abs(service - (await inService()).length) <= 3, `${service} trains in service`);
  assert.match(await aside.locator("dd").nth(1).innerText(), /^[\d,]+/);
  const spark = () => aside.locator("dd svg .line").getAttribute("d");
  for (let i = 0; i < 40 && !(await spark()); i++) await page.waitForTimeout(500);
  assert.ok((await spark()).length > 10, "no sparkline");
  assert.match(await aside.innerText(), /°F/);
  await aside.getByRole("button", { name: "Pause" }).click();
  await aside.getByText("paused").waitFor();
  await page.waitForTimeout(600);
  const stood = await aside.locator("time").innerText();
  await page.waitForTimeout(1500);
  assert.equal(await aside.locator("time").innerText(), stood);
  await aside.getByRole("button", { name: "60×" }).click();
  await aside.getByText("60× real time").waitFor();
  await page.waitForTimeout(500);
  assert.notEqual(await aside.locator("time").innerText(), stood);
  await command({ speed: 30 });
  assert.deepEqual(wrong, []);
  await close();
});

test("names on the map do not cover each other, and more come with the zoom", async () => {
  for (const projection of ["", "?map=geographic"]) {
    const { page, close } = await map(`/${projection}`);
    const named = async () => {
      const l = await page.evaluate(() => window.ellMap.names.map((n) => ({ text: n.text, boxes: n.boxes })));
      for (const [i, a] of l.entries()) {
        for (const b of l.slice(i + 1)) {
          const hit = a.boxes.some((x) => b.boxes.some((y) => x[0] < y[2] && x[2] > y[0] && x[1] < y[3] && x[3] > y[1]));
          assert.ok(!hit, `${a.text} and ${b.text} cover each other`);
        }
      }
      return l.length;
    };
    const far = await named();
    assert.ok(far > 40, `only ${far} names`);
    const k = await page.evaluate(() => window.ellMap.camera.k);
    for (let i = 0; i < 3; i++) await page.getByRole("button", { name: "Zoom in" }).click();
    await page.waitForFunction((was) => window.ellMap.camera.k > was * 4, k);
    await page.waitForTimeout(500);
    const near = await named();
    const there = await page.evaluate(() => {
      const { clientWidth: w, clientHeight: h } = document.querySelector(".pane");
      return window.ellMap.scene.spots.map((s) => window.ellMap.find("station", String(s.id))).filter(([x, y]) => x > 120 && y > 20 && x < w - 120 && y < h - 20).length;
    });
    assert.ok(there > 5 && near >= there * 0.9 && far < 143, `${far} names from afar; from near, ${near} of ${there}`);
    await close();
  }
});

test("hover and tap say what a train and a station are; the wheel, two fingers and a drag move the map", async () => {
  await command({ paused: true });
  const { page, close } = await map("/", { hasTouch: true });
  try {
    await page.waitForTimeout(1500);
    const box = await page.locator(".pane").boundingBox();
    const [id, x, y] = await page.evaluate(() => { const d = window.ellMap.drawn.find((t) => t.x > 300 && t.y > 300 && t.y < 600 && t.x < 700) ?? window.ellMap.drawn[0]; return [d.id, d.x, d.y]; });
    await page.mouse.move(box.x + x, box.y + y);
    await page.locator(".card-at", { hasText: /bound|at |left / }).waitFor();
    const s = await page.evaluate(() => window.ellMap.find("station", "40890")); // O'Hare
    await page.touchscreen.tap(box.x + s[0], box.y + s[1]);
    await page.waitForURL(/at=(station:40890|train:)/);
    await page.getByRole("link", { name: /Station board|Train and its records/ }).waitFor();
    await page.keyboard.press("Escape");
    const camera = () => page.evaluate(() => ({ ...window.ellMap.camera }));
    const a = await camera();
    await page.mouse.move(box.x + 400, box.y + 400);
    await page.mouse.wheel(0, -300);
    const b = await camera();
    assert.ok(b.k > a.k, "the wheel does not zoom");
    await page.mouse.down();
    await page.mouse.move(box.x + 300, box.y + 380, { steps: 5 });
    await page.mouse.up();
    const c = await camera();
    assert.ok(c.x > b.x && c.y > b.y, "a drag does not move");
    const cdp = await page.context().newCDPSession(page);
    const touch = (type, d) => cdp.send("Input.dispatchTouchEvent", { type, touchPoints: d === undefined ? [] : [{ x: box.x + 300 - d, y: box.y + 300, id: 0 }, { x: box.x + 300 + d, y: box.y + 300, id: 1 }] });
    await touch("touchStart", 40);
    for (const d of [60, 90, 120]) await touch("touchMove", d);
    await touch("touchEnd");
    assert.ok((await camera()).k > c.k * 1.5, "two fingers do not zoom");
    assert.ok(id);
  } finally {
    await command({ paused: false });
    await close();
  }
});

test("a line: its ladder and string diagram move, trains are in the table in both directions", async () => {
  await command({ speed: 30, paused: false });
  const { page, wrong, close } = await app("/line/green");
  const canvases = page.locator("main canvas");
  await page.locator("td .chip").first().waitFor();
  assert.equal(await canvases.count(), 2);
  const before = [await picture(canvases.nth(0)), await picture(canvases.nth(1))];
  await page.waitForTimeout(2500);
  assert.notEqual(await picture(canvases.nth(0)), before[0], "the ladder stands still");
  assert.notEqual(await picture(canvases.nth(1)), before[1], "the string diagram does not grow");
  const heads = await page.locator("thead th").allInnerTexts();
  assert.deepEqual(heads, ["Station", "Harlem/Lake-bound", "Ashland/63rd or Cottage Grove-bound", "Total entries"]);
  for (const column of [2, 3]) assert.ok((await page.locator(`tbody td:nth-child(${column}) .chip`).count()) > 2, `column ${column}`);
  assert.doesNotMatch(await page.locator("main").innerText(), /direction [ab]\b/i, "the pipeline's words");
  assert.deepEqual(wrong, []);
  await close();
});

test("a station: due times count down for each line and direction, the day as a chart, the last trains with their records", async () => {
  await command({ speed: 30, paused: false });
  const { page, wrong, close } = await app("/station/41320");
  const boards = page.locator(".board");
  await boards.first().waitFor();
  const heads = await boards.locator("h2").allInnerTexts();
  for (const want of [/Red Line\s+Howard-bound/, /Red Line\s+95th/, /Brown Line\s+Kimball-bound/, /Brown Line\s+Loop-bound/]) assert.ok(heads.some((h) => want.test(h)), `${want} in ${heads}`);
  const due = () => page.evaluate(() => Object.fromEntries([...document.querySelectorAll(".board li")].map((li) => [li.querySelector("a")?.textContent, Number(/(\d+) min/.exec(li.textContent)?.[1] ?? 0)])));
  const first = await due();
  await page.waitForTimeout(5000); // two and a half minutes of city
  const later = await due();
  const both = Object.keys(first).filter((id) => first[id] >= 4 && later[id] > 0);
  assert.ok(both.length > 3 && both.filter((id) => later[id] < first[id]).length >= both.length * 0.7, JSON.stringify([first, later]));
  assert.ok((await page.locator(".usual").getAttribute("d")).length > 100, "no usual curve");
  await page.locator("tbody tr").first().waitFor();
  const record = page.locator("tbody tr a.mono").first();
  assert.match(await record.innerText(), /@\d+$/);
  await record.click();
  await page.locator("li.named pre", { hasText: "train_id" }).first().waitFor();
  await page.goBack();
  await boards.first().waitFor();
  assert.deepEqual(wrong, []);
  await close();
});

test("a train: next stops, its way, the map that follows it, and the records behind it with their age", async () => {
  await command({ speed: 30, paused: false });
  const t = (await inService()).find((x) => x.next_call > 3);
  const { page, wrong, close } = await map(`/train/${t.id}`);
  await page.getByRole("heading", { name: `Train ${t.id}` }).waitFor();
  assert.match(await page.locator("main header").innerText(), /-bound/);
  assert.ok((await page.locator(".stops li").count()) > 0);
  await page.waitForFunction((id) => {
    const p = window.ellMap.find("train", id);
    const c = document.querySelector(".pane");
    return p && Math.hypot(p[0] - c.clientWidth / 2, p[1] - c.clientHeight / 2) < 60;
  }, t.id, { timeout: 10_000 });
  const hops = page.locator("section", { has: page.locator("#xray") }).locator("ol > li");
  await hops.nth(2).waitFor();
  assert.match(await hops.nth(0).innerText(), /Seen[\s\S]*station\.arrivals\.\d+\.\S+-0@\d+[\s\S]*old/);
  assert.match(await hops.nth(1).innerText(), /Known[\s\S]*trains\.v1-\d+@\d+[\s\S]*after it was seen/);
  assert.match(await hops.nth(2).innerText(), /On your screen/);
  await hops.nth(0).getByRole("button", { name: "Open the record" }).click();
  await page.waitForURL(/open=seen/);
  await hops.nth(0).locator("pre", { hasText: t.id }).first().waitFor();
  assert.match(await hops.nth(0).innerText(), /schema \d+/);
  await page.reload();
  await hops.nth(0).locator("pre").first().waitFor(); // the address knows what was open
  assert.deepEqual(wrong, []);
  await close();
});

test("the pipeline: every part and flow with rates and lag, and they live", async () => {
  await command({ speed: 30, paused: false });
  const { page, wrong, close } = await app("/pipeline");
  const parts = page.getByRole("region", { name: "Table of the parts" }).locator("tbody tr");
  await parts.first().waitFor();
  for (const name of ["City", "Weather device", "REST Proxy", "Schema registry", "Station source", "Stations", "Turnstiles", "Trains and lines", "Board", "Viewers"]) {
    assert.match(await parts.filter({ has: page.getByRole("rowheader", { name, exact: true }) }).innerText(), /\bok\b/, name);
  }
  await page.waitForTimeout(4000);
  const { edges } = await get("/api/v1/pipeline");
  for (const e of edges) assert.ok(e.count > 0 || e.from === "weather" || e.topic.endsWith(".stations"), `${e.from} to ${e.to}: nothing ever came`);
  for (const [from, to] of [["city", "lines"], ["city", "turnstiles"], ["lines", "board"], ["turnstiles", "board"], ["city", "board"], ["board", "viewers"]]) {
    assert.ok(edges.filter((e) => e.from === from && e.to === to).some((e) => e.rate > 0.5), `${from} to ${to}: no rate`);
  }
  const flows = page.getByRole("region", { name: "Table of the flows" });
  const before = await flows.innerText();
  await page.waitForTimeout(2500);
  assert.notEqual(await flows.innerText(), before, "the table stands still");
  assert.equal(await page.locator(".graph svg .node").count(), 10);
  await page.getByText(/No dead letters|dead letters\./).first().waitFor();
  await page.getByRole("searchbox").fill("arrivals howard");
  await page.waitForURL(/topics=arrivals/);
  await page.getByRole("link", { name: "org.chicago.cta.station.arrivals.40900.howard" }).waitFor();
  assert.deepEqual(wrong, []);
  await close();
});

test("a topic: watermarks, live tail, seek by offset and time, filter, decoded with schema and headers", async () => {
  await command({ speed: 30, paused: false });
  const { page, wrong, close } = await app("/pipeline/topics/org.chicago.cta.trains.v1");
  const rows = page.locator("section[aria-labelledby=records] li button[aria-expanded]");
  await rows.first().waitFor();
  assert.equal(await page.locator("section[aria-labelledby=parts] tbody tr").count(), 12);
  const newest = await rows.first().innerText();
  await page.waitForTimeout(3000);
  assert.notEqual(await rows.first().innerText(), newest, "the tail is not live");
  // Compaction may take the oldest records away at any moment.
  const begin = async () => (await get("/api/v1/topics/org.chicago.cta.trains.v1")).partitions[11].start;
  const before = await begin();
  await page.getByRole("combobox", { name: "Partition" }).selectOption("11");
  await page.getByLabel("From offset").fill("0");
  await page.keyboard.press("Enter");
  await page.waitForURL(/partition=11.*offset=0|offset=0.*partition=11/);
  await page.waitForTimeout(1200);
  assert.match(await rows.first().innerText(), new RegExp(`^11@`));
  const first = Number(/11@(\d+)/.exec(await rows.first().innerText())[1]);
  const after = await begin();
  assert.ok(first >= before && first < after + 50, `${first} is not near the start, ${before} to ${after}`);
  await page.getByRole("button", { name: "Newer" }).click();
  await page.waitForTimeout(1200);
  assert.ok(Number(/11@(\d+)/.exec(await rows.first().innerText())[1]) > first);
  await page.goBack();
  await page.waitForTimeout(1200);
  const again = Number(/11@(\d+)/.exec(await rows.first().innerText())[1]);
  assert.ok(again === first || (first < await begin() && again >= await begin()), `back goes to ${again}, not to ${first}`);
  const id = (await inService()).find((t) => t.line === "red").id;
  await page.goto(`${page.url().split("?")[0]}?filter=${id}`);
  await rows.first().waitFor();
  for (const text of await rows.allInnerTexts()) assert.ok(text.includes(id), text);
  await rows.first().click();
  await page.waitForURL(/open=/);
  const record = page.locator("section[aria-labelledby=records] .rec");
  assert.match(await record.innerText(), /train_value[\s\S]*schema \d+/);
  const hourAgo = new Date(Date.now() - 3_600_000).toISOString().slice(0, 19);
  await page.goto(`${page.url().split("?")[0]}?time=${hourAgo}`);
  await rows.first().waitFor();
  await page.goto(`${new URL(page.url()).origin}/pipeline/topics/org.chicago.cta.station.arrivals.40900.howard`);
  await rows.first().click();
  assert.match(await record.innerText(), /pattern/, "no headers");
  assert.deepEqual(wrong, []);
  await close();
});

test("the search finds lines, stations, trains and topics, by the key and by the button", async () => {
  const id = (await inService())[0].id;
  const { page, close } = await app("/");
  for (const [text, kind, to] of [["brown", "Line", "/line/brown"], ["o'hare", "Station", "/station/40890"], [id, "Train", `/train/${id}`], ["deadletter", "Topic", "/pipeline/topics/"]]) {
    if (kind === "Line") await page.getByRole("button", { name: /Search/ }).click();
    else await page.keyboard.press("/");
    await page.getByRole("combobox").fill(text);
    await page.getByRole("option").filter({ hasText: kind }).first().click();
    await page.waitForURL((u) => u.pathname.startsWith(to));
    await page.locator("h1").first().waitFor();
  }
  await close();
});

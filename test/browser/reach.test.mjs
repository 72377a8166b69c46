// Everybody can use it: axe finds nothing on any view, light or dark, on a desk, a
// phone or a wall; the keyboard reaches all that a pointer does; who wants no motion sees none.
import assert from "node:assert/strict";
import { test } from "node:test";
import { app, axe, command, get, map, url } from "./page.mjs";

let train;
while (!train) train = (await get("/api/v1/trains")).trains.find((t) => t.status === "in_service" && t.next_call > 0)?.id;
const views = {
  map: "/",
  "true map": "/?map=geographic",
  "list of trains": "/?list=trains",
  "chosen station": "/?at=station:40380",
  "chosen train": `/?at=train:${train}&follow=1`,
  line: "/line/brown",
  station: "/station/40380",
  train: `/train/${train}?open=known`,
  pipeline: "/pipeline",
  topic: "/pipeline/topics/org.chicago.cta.trains.v1",
};

/** Waits until a view has what it fetches for itself. */
async function settled(page) {
  await page.locator("h1").first().waitFor({ state: "attached" });
  await page.waitForLoadState("load");
  await page.waitForTimeout(1200);
}

/** What sticks out to the right and is not within something that scrolls. */
const sticksOut = (page) =>
  page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    out: [...document.querySelectorAll("#app *")]
      .filter((e) => e.getBoundingClientRect().right > 361 && e.checkVisibility() && !e.closest(".scroll, .graph, .sr, .pane, pre, canvas, svg") && getComputedStyle(e).position !== "absolute")
      .map((e) => e.outerHTML.slice(0, 90)),
  }));

for (const [name, path] of Object.entries(views)) {
  test(`axe finds nothing on the ${name}: light, dark, and on a phone of 360 pixels, which it fits`, async () => {
    const { page, wrong, close } = await app(path, { colorScheme: "light", bypassCSP: true });
    await settled(page);
    assert.deepEqual(await axe(page), [], "light");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
    await page.waitForTimeout(300);
    assert.deepEqual(await axe(page), [], "dark");
    await page.setViewportSize({ width: 360, height: 740 });
    await page.waitForTimeout(500);
    const { wide, out } = await sticksOut(page);
    assert.ok(wide <= 360, `${wide} pixels wide`);
    assert.deepEqual(out.slice(0, 3), []);
    assert.deepEqual(await axe(page), [], "phone");
    assert.deepEqual(wrong, []);
    await close();
  });
  test(`the keyboard reaches everything on the ${name}`, async () => {
    await command({ paused: true }); // so that nothing comes or goes meanwhile
    const { page, close } = await app(path);
    try {
      await settled(page);
      const all = await page.evaluate(() => {
        const what = 'a[href], button:not([disabled]), input, select, [tabindex="0"]';
        return [...document.querySelectorAll(what)].filter((e) => e.checkVisibility({ visibilityProperty: true }) && e.tabIndex >= 0).map((e, i) => ((e.dataset.n = i), e.outerHTML.slice(0, 120)));
      });
      const reached = new Set();
      for (let i = 0; i < all.length + 20 && reached.size < all.length; i++) {
        await page.keyboard.press("Tab");
        const n = await page.evaluate(() => document.activeElement?.dataset.n);
        if (n !== undefined) reached.add(Number(n));
      }
      assert.deepEqual(all.filter((_, i) => !reached.has(i)).slice(0, 3), []);
    } finally {
      await command({ paused: false });
      await close();
    }
  });
}

test("the pipeline's tables fit a small desk, and on a phone all but the flows", async () => {
  const { page, close } = await app("/pipeline", { viewport: { width: 1280, height: 800 } });
  await page.getByRole("region", { name: "Table of the topics" }).waitFor();
  const cut = () => page.locator(".scroll").evaluateAll((all) => all.filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.getAttribute("aria-label")));
  assert.equal(await page.locator(".scroll").count(), 3);
  for (const width of [1280, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    assert.deepEqual(await cut(), [], `${width} pixels`);
  }
  await page.setViewportSize({ width: 360, height: 740 });
  assert.deepEqual(await cut(), ["Table of the flows"]);
  await close();
});

test("axe finds nothing in the search, and the keyboard stays in it until it is left", async () => {
  const { page, close } = await app("/", { bypassCSP: true });
  await page.keyboard.press("/");
  await page.getByRole("combobox").fill("a");
  await page.waitForTimeout(400);
  assert.deepEqual(await axe(page), []);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => !document.activeElement || document.activeElement === document.body || !!document.activeElement.closest("dialog")), true);
  await page.keyboard.press("Escape");
  await page.getByRole("combobox").waitFor({ state: "detached" });
  await close();
});

test("on a wall it fills the screen, reads from afar, and axe finds nothing", async () => {
  for (const [width, height, least] of [[1920, 1080, 60], [3840, 2160, 95]]) {
    const { page, close } = await map("/?kiosk", { viewport: { width, height }, bypassCSP: true });
    await settled(page);
    assert.equal(await page.locator("header").count(), 0, "the bar of the page is in the way");
    const seen = await page.evaluate(() => ({
      over: document.documentElement.scrollHeight - innerHeight,
      map: document.querySelector(".pane").getBoundingClientRect().height,
      clock: document.querySelector("time").getBoundingClientRect().height,
      lines: document.querySelectorAll("aside .list li").length,
    }));
    assert.ok(seen.over <= 0, `${seen.over} pixels to scroll`);
    assert.equal(seen.map, height);
    assert.ok(seen.clock >= least, `the clock is ${seen.clock} pixels high`);
    assert.equal(seen.lines, 8);
    assert.deepEqual(await axe(page), []);
    await close();
  }
});

test("who wants no motion sees none, on any view", async () => {
  await command({ paused: true }); // news may come between a look and the picture
  for (const [name, path] of Object.entries(views)) {
    const { page, close } = await app(path, { reducedMotion: "reduce" });
    await settled(page);
    const moving = await page.evaluate(() => ({
      animations: document.getAnimations().length,
      between: [...window.ellLive?.motions.values() ?? []].filter((m) => Math.abs(m.s - m.way.at(m.train.call)) > 1).length,
    }));
    assert.deepEqual(moving, { animations: 0, between: 0 }, name);
    await close();
  }
  await command({ paused: false });
});

test("seen, predicted and estimated differ in shape and word, not in colour alone", async () => {
  const { page, close } = await app("/station/40380");
  await page.getByText("estimated", { exact: true }).first().waitFor();
  const shapes = await page.evaluate(() => {
    const look = (c) => {
      const s = getComputedStyle(document.querySelector(`.key .${c}`));
      return `${s.fill === "none" ? "hollow" : "filled"} ${s.strokeDasharray === "none" ? "whole" : "dashed"}`;
    };
    return [look("seen"), look("pred"), look("est")];
  });
  assert.deepEqual(shapes, ["filled whole", "hollow whole", "hollow dashed"]);
  const key = await page.locator(".key").innerText();
  for (const word of [/seen/, /predicted/, /estimated/]) assert.match(key, word);
  await close();
});

test("status changes are announced politely, and rarely", async () => {
  const net = await get("/api/v1/network");
  const line = (status) => ({ id: "red", status, reason: `It is ${status}.`, trains: 2, headways: [[300, 300], [300, 300]], at: 1 });
  const snapshot = {
    v: 1, t0: 1776160000000, clock: { city: 1000, wall: Date.now(), speed: 1, paused: false, control: true, seed: 1, start: 0 },
    trains: [], lines: [line("good_service")], stations: [], totals: [], weather: null, rate: { entries_min: 1, arrivals_min: 1 }, appended: 1, sent: Date.now(),
  };
  // Four changes within a moment, and the same once more later.
  const words = ["delays", "good_service", "slow", "long_waits"];
  const body = [`retry: 60000\nid: x-1\nevent: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`, ...words.map((w, i) => `id: x-${i + 2}\nevent: delta\ndata: ${JSON.stringify({ lines: [line(w)], sent: Date.now() })}\n\n`)].join("");
  const { page, close } = await app("/", { prepare: (p) => p.route("**/api/v1/stream", (r) => r.fulfill({ contentType: "text/event-stream", body })) });
  assert.ok(net.lines.length === 8);
  await page.evaluate(() => {
    window.announced = [];
    const region = document.querySelector("[aria-live=polite]");
    new MutationObserver(() => window.announced.push([performance.now(), region.textContent])).observe(region, { childList: true, characterData: true, subtree: true });
  });
  const say = (w, i) => page.evaluate(([l, n]) => {
    window.ellLive.city.lines.set("red", l);
    window.ellLive.status = new Map(window.ellLive.city.lines);
    return n;
  }, [line(w), i]);
  for (const [i, w] of ["delays", "slow", "good_service", "delays"].entries()) {
    await say(w, i);
    await page.waitForTimeout(300);
  }
  await page.waitForTimeout(15_500);
  const said = await page.evaluate(() => window.announced);
  assert.ok(said.length >= 1 && said.length <= 2, JSON.stringify(said));
  if (said.length === 2) assert.ok(said[1][0] - said[0][0] > 14_000, JSON.stringify(said));
  assert.match(said.at(-1)[1], /Red Line: Delays/);
  assert.equal(await page.locator('[role="alert"], [aria-live="assertive"]').count(), 0);
  await close();
});

test("the page asks nobody else for anything, on any view", async () => {
  for (const path of Object.values(views)) {
    const { page, wrong, close } = await app(path);
    await settled(page);
    const others = await page.evaluate((own) => performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith(own)), url);
    assert.deepEqual([...wrong, ...others], [], path);
    await close();
  }
});

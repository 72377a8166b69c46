// What the app has to bear: hostile names, a lost stream, a hidden tab, the
// keyboard alone, and addresses that carry the state of a view.
import assert from "node:assert/strict";
import { test } from "node:test";
import { app, command, get, map } from "./page.mjs";

test("hostile names stay text on every view, and the policy has nothing to report", async () => {
  const evil = `<img src=x onerror="window.hacked=1"><b>Bad</b>`;
  const network = await get("/api/v1/network");
  for (const s of network.stations) if (s.id === 40380) s.name = s.descriptive = evil;
  network.lines[0].toward[0] = evil;
  const real = (await get("/api/v1/trains")).trains[0].id; // the server has a page for it
  const snapshot = {
    v: 1, t0: 1776160000000,
    clock: { city: 1000, wall: Date.now(), speed: 1, paused: false, control: true, seed: 1, start: 0 },
    trains: [[evil, 0, 3, 0, 500, 900, 4, 90000, 400, 1], [real, 0, 3, 2, 500, 0, -1, 0, 0, 1]],
    lines: [{ id: "red", status: evil, reason: evil, trains: 2, headways: [[300, 300], [400, 100]], at: 900 }],
    stations: [["red", 40380, 1, evil], ["red", 99999, 2, `${evil} ${"x".repeat(180)}`]],
    totals: [[40380, 5, 1]], weather: { at: 1, temperature: 70, status: evil }, rate: { entries_min: 1, arrivals_min: 1 },
    appended: 1, sent: Date.now(),
  };
  const prepare = async (page) => {
    await page.route("**/api/v1/network", (r) => r.fulfill({ json: network }));
    await page.route("**/api/v1/stream", (r) => r.fulfill({ contentType: "text/event-stream", body: `retry: 60000\nid: x-1\nevent: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n` }));
  };
  for (const path of ["/", "/?list=trains", "/line/red", "/station/40380", `/train/${real}`]) {
    const { page, wrong, close } = await app(path, { prepare });
    await page.waitForTimeout(800);
    await page.keyboard.press("/");
    await page.getByRole("combobox").fill("img");
    await page.waitForTimeout(300);
    const found = await page.evaluate(() => ({ hacked: window.hacked, images: document.querySelectorAll("img, #app b b").length, text: document.body.innerText }));
    assert.equal(found.hacked, undefined, path);
    assert.equal(found.images, 0, path);
    assert.deepEqual(wrong, [], path);
    assert.match(found.text, /<img src=x/, path);
    await close();
  }
});

test("the keyboard alone finds a station, moves the map and leaves", async () => {
  const { page, close } = await map("/");
  await page.keyboard.type("/howar"); // as fast as fingers that know the way
  assert.equal(await page.getByRole("combobox").inputValue(), "howar");
  await page.waitForTimeout(200);
  await page.keyboard.press("Enter");
  await page.waitForURL("**/station/40900");
  await page.getByRole("heading", { name: "Howard", level: 1 }).waitFor();
  await page.goBack();
  await page.waitForFunction(() => window.ellMap);
  const pane = page.getByRole("group", { name: /Map of the/ });
  let reached = false;
  for (let i = 0; i < 25 && !reached; i++) {
    await page.keyboard.press("Tab");
    reached = await pane.evaluate((e) => e === document.activeElement);
  }
  assert.ok(reached, "Tab does not reach the map");
  const camera = () => page.evaluate(() => ({ ...window.ellMap.camera }));
  const a = await camera();
  await page.keyboard.press("+");
  await page.keyboard.press("ArrowRight");
  await page.waitForTimeout(900);
  const b = await camera();
  assert.ok(b.k > a.k && b.x > a.x, JSON.stringify([a, b]));
  await page.waitForURL(/c=/);
  await page.keyboard.press("0");
  await page.waitForTimeout(900);
  assert.ok((await camera()).k < b.k);
  await close();
});

test("every train on the map is in the list that screen readers read", async () => {
  const { page, close } = await map("/");
  await command({ paused: true });
  try {
    await page.waitForTimeout(2000);
    const missing = await page.evaluate(() => {
      const listed = new Set([...document.querySelectorAll("aside .sr li > span:first-child")].map((e) => e.textContent));
      return [...window.ellLive.motions.keys()].filter((id) => !listed.has(id));
    });
    assert.deepEqual(missing, []);
  } finally {
    await command({ paused: false });
  }
  await close();
});

test("the address carries the state of a view", async () => {
  const { page, close } = await app("/?map=geographic&at=station:40380&lines=red,blue");
  await page.getByRole("link", { name: "Station board" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Geographic" }).getAttribute("aria-pressed"), "true");
  assert.equal(await page.getByRole("button", { name: /Show the Red Line/ }).getAttribute("aria-pressed"), "true");
  await page.getByRole("link", { name: "Station board" }).click();
  await page.waitForURL("**/station/40380");
  await page.goBack();
  await page.getByRole("link", { name: "Station board" }).waitFor();
  assert.match(page.url(), /lines=red,blue/);
  // Closing the card leaves the keys to the map rather than to nobody.
  await page.getByRole("button", { name: "Close" }).click();
  await page.waitForURL((url) => !url.searchParams.has("at"));
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? ""), /^Map of the/);
  await close();
});

test("a record is found by its address and shown decoded", async () => {
  const train = (await get("/api/v1/trains")).trains.find((t) => t.status === "in_service");
  const { page, close } = await app(`/train/${train.id}`);
  await page.getByRole("button", { name: "Open the record" }).first().click();
  await page.locator("pre", { hasText: train.id }).first().waitFor();
  await page.locator("ol a.mono").first().click();
  await page.waitForURL(/\/pipeline\/topics\/.*offset=\d+/);
  await page.locator("li.named pre", { hasText: train.id }).first().waitFor();
  await close();
});

test("the system view weighs at most 80 KB compressed, and brings no other view along", async (t) => {
  const kind = new Map();
  let total = 0;
  const prepare = async (page) => {
    const cdp = await page.context().newCDPSession(page);
    await cdp.send("Network.enable");
    cdp.on("Network.responseReceived", (e) => kind.set(e.requestId, new URL(e.response.url).pathname));
    cdp.on("Network.loadingFinished", (e) => {
      if (!kind.get(e.requestId)?.startsWith("/api/")) total += e.encodedDataLength;
    });
  };
  const { page, close } = await map("/", { prepare });
  await page.waitForTimeout(500);
  t.diagnostic(`${(total / 1024).toFixed(1)} KB with headers`);
  assert.ok(total <= 80 * 1024, `${total} bytes`);
  const views = () => [...kind.values()].filter((p) => /\/(Line|Station|Train|Pipeline|Search)-/.test(p));
  assert.deepEqual(views(), []);
  await page.locator('aside a[href^="/line/"]').first().click();
  await page.waitForURL("**/line/*");
  await page.getByRole("table").first().waitFor();
  assert.ok(views().every((p) => p.includes("/Line-")) && views().length > 0, views().join());
  await close();
});

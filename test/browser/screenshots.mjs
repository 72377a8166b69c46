// Pictures of every view, desktop and phone, light and dark, into docs/screenshots.
import { mkdirSync } from "node:fs";
import { command, get, launch, url } from "./site.mjs";

const out = new URL("../../docs/screenshots/", import.meta.url).pathname;
mkdirSync(out, { recursive: true });
// An hour of city first, so that there is something to see.
await command({ speed: 120, paused: false });
await new Promise((done) => setTimeout(done, 32_000));
await command({ speed: 10 });
await new Promise((done) => setTimeout(done, 6000));
const train = (await get("/api/v1/trains")).trains.find((t) => t.status === "in_service" && t.line === "red" && t.next_call > 5);
const views = {
  system: "/", map: "/?map=geographic", line: "/line/red", station: "/station/40380", train: `/train/${train.id}`,
  pipeline: "/pipeline", topic: "/pipeline/topics/org.chicago.cta.trains.v1",
};
const browser = await launch();
for (const [form, viewport] of [["desktop", { width: 1440, height: 900 }], ["phone", { width: 390, height: 844 }]]) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ viewport, colorScheme });
    for (const [name, path] of Object.entries(views)) {
      await page.goto(url + path);
      await page.waitForTimeout(2500);
      await page.screenshot({ path: `${out}${name}-${form}-${colorScheme}.png` });
    }
    if (form === "desktop" && colorScheme === "dark") {
      await page.setViewportSize({ width: 1920, height: 1080 });
      await page.goto(`${url}/?kiosk`);
      await page.waitForTimeout(2500);
      await page.screenshot({ path: `${out}wall-dark.png` });
      await page.setViewportSize(viewport);
      await page.goto(url);
      await page.waitForTimeout(2000);
      await page.keyboard.press("/");
      await page.keyboard.type("bel");
      await page.waitForTimeout(800);
      await page.screenshot({ path: `${out}search-desktop-dark.png` });
    }
    await page.close();
  }
}
await browser.close();

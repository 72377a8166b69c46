// Pictures of every page, desktop and phone, light and dark, into docs/screenshots.
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

const out = new URL("../../docs/screenshots/", import.meta.url).pathname;
mkdirSync(out, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"],
});
const pages = { system: "/", line: "/line/red", station: "/station/40380", pipeline: "/pipeline" };
for (const [form, viewport] of [["desktop", { width: 1280, height: 900 }], ["phone", { width: 390, height: 844 }]]) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ viewport, colorScheme });
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(process.env.ELL_URL + path);
      await page.waitForTimeout(1500);
      await page.screenshot({ path: `${out}${name}-${form}-${colorScheme}.png` });
    }
    await page.close();
  }
}
await browser.close();

// What the browser tests share: pages of one Chromium that note what goes wrong on
// them, and a way to the server that can be cut and stalled.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { after, before } from "node:test";
import { command, get, launch, url } from "./site.mjs";

export { command, get, url };

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

/**
 * Opens a page in a context of its own. `wrong` collects errors, requests to
 * others, dialogs and breaches of the content security policy. `ready` waits for the
 * app; without JavaScript there is none.
 */
export async function open(path, { base = url, prepare = async () => {}, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (e) => wrong.push(`error: ${e.message}`));
  page.on("console", (m) => m.type() === "error" && !/^Failed to load resource: net::/.test(m.text()) && wrong.push(`console: ${m.text()}`));
  page.on("request", (r) => !/^(data|blob):/.test(r.url()) && new URL(r.url()).origin !== new URL(base).origin && wrong.push(`foreign request: ${r.url()}`));
  page.on("dialog", (d) => wrong.push(`dialog: ${d.message()}`));
  if (options.javaScriptEnabled !== false) {
    await page.exposeFunction("notePolicy", (what) => wrong.push(`policy: ${what}`));
    await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (e) => window.notePolicy(`${e.violatedDirective} ${e.blockedURI}`)));
  }
  await prepare(page);
  await page.goto(base + path);
  return { page, wrong, close: () => context.close() };
}

/** Opens a page and waits until the app has taken it over. */
export async function app(path, options) {
  const o = await open(path, options);
  await o.page.waitForFunction(() => document.documentElement.dataset.app === "on", null, { timeout: 20_000 });
  return o;
}

/** The same, with the map and its trains drawn. */
export async function map(path, options) {
  const o = await app(path, options);
  await o.page.waitForFunction(() => window.ellLive?.motions.size > 0 && window.ellMap?.drawn.length > 0, null, { timeout: 20_000 });
  return o;
}

/** A way to the server that can be cut, and stalled: then nothing comes and nothing says so. */
export function bridge() {
  const target = new URL(url);
  const pairs = new Set();
  const heads = [];
  let stalled = false;
  const server = net.createServer((a) => {
    const b = net.connect(Number(target.port), target.hostname);
    const pair = [a, b];
    pairs.add(pair);
    a.on("data", (d) => {
      const head = d.toString("latin1");
      if (head.startsWith("GET /api/v1/stream")) heads.push(head);
    });
    for (const s of pair) {
      s.on("error", () => s.destroy());
      s.on("close", () => (a.destroy(), b.destroy(), pairs.delete(pair)));
    }
    a.pipe(b);
    if (!stalled) b.pipe(a);
  });
  let port = 0;
  return {
    heads,
    base: () => `http://127.0.0.1:${port}`,
    listen: () => new Promise((done) => server.listen(port, "127.0.0.1", () => ((port = server.address().port), done()))),
    cut: () => new Promise((done) => (server.close(() => done()), pairs.forEach(([a]) => a.destroy()))),
    stall: () => ((stalled = true), pairs.forEach(([a, b]) => b.unpipe(a).pause())),
    flow: () => ((stalled = false), pairs.forEach(([a, b]) => b.pipe(a))),
  };
}

/** Stops the processes that make the page for some time, as a machine that sleeps does. */
export async function stopped(page, ms) {
  const cdp = await browser.newBrowserCDPSession();
  const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
  const pids = processInfo.filter((p) => p.type === "renderer" || p.type === "utility").map((p) => p.id);
  assert.ok(pids.length > 0, "no process draws the page");
  pids.forEach((p) => process.kill(p, "SIGSTOP"));
  await new Promise((done) => setTimeout(done, ms));
  pids.forEach((p) => process.kill(p, "SIGCONT"));
  await cdp.detach();
}

/** All that axe has to say, contrast and the map included. The page has to be opened with bypassCSP. */
export async function axe(page) {
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
  const found = await page.evaluate(() => window.axe.run());
  return found.violations.map((v) => `${v.id}: ${v.nodes[0].html}`);
}

// How trains move on the map, sampled every frame in a real browser: forward
// only, without jumps, near the platform when they are seen there and at it soon after.
import assert from "node:assert/strict";
import { test } from "node:test";
import { command, map } from "./page.mjs";

const speed = (s) => command({ speed: s, paused: false });
const open = (path, options) => map(path, { viewport: { width: 1000, height: 700 }, ...options });

/** Samples every train at every frame for some seconds. */
const sample = (page, seconds) =>
  page.evaluate(
    (ms) =>
      new Promise((done) => {
        const live = window.ellLive;
        const seen = new Map();
        const out = { frames: 0, back: [], jumps: [], most: 0, placements: 0, moved: 0, trains: 0, arrivals: 0, late: [], behind: [], fromTerminals: [], lengths: [] };
        const start = performance.now();
        let last = start;
        const due = [];
        const known = new Map([...live.city.trains.values()].map((t) => [t.id, `${t.pattern}/${t.call}`]));
        const round = (d, n) => d - Math.round(d / n) * n;
        const told = (t) => {
          const m = live.motions.get(t.id);
          const where = `${t.pattern}/${t.call}`;
          if (!m || known.get(t.id) === where) return; // a prediction, not an arrival
          known.set(t.id, where);
          due.push({ id: t.id, call: t.call, at: performance.now() });
          // How far the drawn train still is from where it was seen: it has to catch up so much.
          const gap = Math.round(Math.max(0, round(m.way.at(t.call) - m.s, m.way.length)));
          out.behind.push(gap);
          // The first stop after a terminal: it left there by the timetable, or too late for it.
          if (m.way.pattern.calls.at(t.call - 2)?.turn) out.fromTerminals.push(gap);
        };
        live.trainListeners.add(told);
        const frame = () => {
          const now = performance.now();
          out.lengths.push(now - last);
          last = now;
          out.frames++;
          for (const [id, m] of live.motions) {
            const was = seen.get(id);
            if (was && was.way === m.way && was.placements === m.placements) {
              let d = m.s - was.s;
              const n = m.way.length;
              d -= Math.round(d / n) * n;
              if (d < -0.01) out.back.push(`${id} ${d.toFixed(1)} m`);
              if (d > 60) out.jumps.push(`${id} ${d.toFixed(0)} m`);
              if (d > 0.01) out.moved++;
              out.most = Math.max(out.most, d);
            } else if (was) out.placements++;
            seen.set(id, { s: m.s, way: m.way, placements: m.placements });
          }
          // Four seconds after the news a train is at that platform or beyond.
          while (due.length && now - due[0].at > 4000) {
            const e = due.shift();
            const m = live.motions.get(e.id);
            if (!m || m.train.call !== e.call) continue;
            out.arrivals++;
            let gap = m.way.at(e.call) - m.s;
            gap -= Math.round(gap / m.way.length) * m.way.length;
            if (gap > 30) out.late.push(`${e.id} ${gap.toFixed(0)} m short`);
          }
          if (now - start < ms) requestAnimationFrame(frame);
          else {
            live.trainListeners.delete(told);
            out.trains = seen.size;
            out.behind.sort((x, y) => x - y);
            out.lengths.sort((x, y) => x - y);
            out.p95 = out.lengths[Math.floor(out.lengths.length * 0.95)];
            out.p50 = out.lengths[Math.floor(out.lengths.length * 0.5)];
            delete out.lengths;
            done(out);
          }
        };
        requestAnimationFrame(frame);
      }),
    seconds * 1000,
  );

test("at real speed trains go forward only, never jump, and are at the platform when the news says so", async (t) => {
  await speed(1);
  const { page, close } = await open("/");
  await page.waitForTimeout(2500);
  const r = await sample(page, 40);
  const q = (p) => r.behind[Math.min(r.behind.length - 1, Math.floor(r.behind.length * p))];
  t.diagnostic(`with the news of an arrival a drawn train was ${q(0.5)} m from the platform in the median, ${q(0.9)} m nine times in ten, ${r.behind.at(-1)} m at most`);
  t.diagnostic(`${r.trains} trains, ${r.frames} frames, median ${r.p50.toFixed(1)} ms, p95 ${r.p95.toFixed(1)} ms, longest step ${r.most.toFixed(1)} m, ${r.arrivals} arrivals, placed anew ${r.placements}`);
  assert.deepEqual(r.back.slice(0, 5), []);
  assert.deepEqual(r.jumps.slice(0, 5), []);
  assert.ok(r.moved > 100, "hardly a train moves");
  assert.ok(r.arrivals > 5, `only ${r.arrivals} arrivals`);
  assert.deepEqual(r.late, []);
  assert.ok(q(0.9) < 200, `one drawn train in ten is ${q(0.9)} m or more from the platform where it is seen`);
  assert.ok(r.placements <= 2, `${r.placements} trains were placed anew`);
  const [p50, p99] = await page.evaluate(() => window.ellLive.latency.quantiles());
  t.diagnostic(`event to pixel: median ${p50} ms, p99 ${p99} ms`);
  await close();
});

test("a city ten times as fast still moves forward only, from its terminals too", async (t) => {
  await speed(10);
  const { page, close } = await open("/?map=geographic");
  await page.waitForTimeout(2000);
  const r = await sample(page, 40);
  t.diagnostic(`${r.frames} frames, p95 ${r.p95.toFixed(1)} ms, longest step ${r.most.toFixed(1)} m; metres to catch up at the first stop after a terminal: ${r.fromTerminals.join(" ")}`);
  assert.ok(r.fromTerminals.length > 3, "hardly a train left a terminal");
  assert.ok(r.fromTerminals.filter((m) => m > 200).length <= r.fromTerminals.length * 0.1, `trains leave terminals later on the map than they do: ${r.fromTerminals}`);
  assert.deepEqual(r.back.slice(0, 5), []);
  assert.ok(r.moved > 100);
  await close();
});

test("three thousand trains are drawn", async (t) => {
  const { page, close } = await open("/?copies=28");
  await page.waitForTimeout(1000);
  const drawn = await page.evaluate(() => window.ellMap.drawn.length);
  const r = await sample(page, 5);
  t.diagnostic(`${drawn} trains drawn; ${(r.frames / 5).toFixed(0)} frames a second, p95 ${r.p95.toFixed(1)} ms`);
  assert.ok(drawn > 2000, `only ${drawn}`);
  assert.ok(r.frames > 20);
  await close();
});

test("who wants no motion sees trains where they were last seen", async () => {
  const { page, close } = await open("/", { reducedMotion: "reduce" });
  await page.waitForTimeout(1500);
  const off = await page.evaluate(() => [...window.ellLive.motions.values()].filter((m) => Math.abs(m.s - m.way.at(m.train.call)) > 1).length);
  assert.equal(off, 0);
  await close();
});

test("the projections change into each other, and the address says which", async () => {
  const { page, close } = await open("/");
  await page.getByRole("button", { name: "Geographic" }).click();
  await page.waitForURL(/map=geographic/);
  await page.waitForTimeout(1300);
  const geo = await page.evaluate(() => window.ellMap.find("station", "40890"));
  await page.getByRole("button", { name: "Schematic" }).click();
  await page.waitForTimeout(1300);
  const sch = await page.evaluate(() => window.ellMap.find("station", "40890"));
  assert.ok(Math.hypot(geo[0] - sch[0], geo[1] - sch[1]) > 5);
  assert.equal(new URL(page.url()).search, "");
  await close();
});

// Keeps a page that the server rendered live: trains change platforms, totals
// grow and the clock runs, all in place. It reads the stream of docs/stream.md
// and writes text only, never markup.

const words = {
  delays: "Delays", long_waits: "Long waits", slow: "Slow", good_service: "Good service",
  not_scheduled: "Not scheduled", no_service: "No service",
};
const rows = new Map(); // "line/station" -> its row's cells
for (const tr of document.querySelectorAll("tr[data-station]")) {
  rows.set(`${tr.dataset.line}/${tr.dataset.station}`, { a: tr.cells[1], b: tr.cells[2], total: tr.cells[3], shown: { a: null, b: null } });
}
const live = (name) => document.querySelector(`[data-live="${name}"]`);
const numbers = new Intl.NumberFormat("en-US", { useGrouping: false });
const dates = new Intl.DateTimeFormat("en-GB", {
  timeZone: "America/Chicago", weekday: "long", day: "numeric", month: "long", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});

const network = await (await fetch("/api/v1/network")).json();
const trains = new Map(); // id -> {line, station, dir, depart, status}
let t0 = 0;
let clock = null;
let lag = Infinity; // this machine's clock less the server's, at the least delay seen
let heard = 0;

/** The city's time now, ms since t0. */
function city() {
  if (clock.paused) return clock.city;
  return clock.city + (Date.now() - lag - clock.wall) * clock.speed;
}

function place([id, pattern, call, status, , depart]) {
  const p = network.patterns[pattern];
  const c = p?.calls[call];
  if (!c || status === 1) return trains.delete(id);
  trains.set(id, { id, line: p.line, station: c.station, dir: c.dir, depart, broken: status === 2 });
}

/** Writes a platform's trains into its cell if they are others than before. */
function show(row, dir, here) {
  const text = here.map((t) => t.id + t.note).join();
  if (row.shown[dir] === text) return;
  row.shown[dir] = text;
  const parts = here.flatMap((t, i) => {
    const a = document.createElement("a");
    a.href = `/train/${encodeURIComponent(t.id)}`;
    a.textContent = t.id;
    const out = i ? [", ", a] : [a];
    if (t.note) {
      const note = document.createElement("span");
      note.className = "dim";
      note.textContent = ` (${t.note})`;
      out.push(note);
    }
    return out;
  });
  if (parts.length === 0) {
    const none = document.createElement("span");
    none.className = "dim";
    none.textContent = "–";
    parts.push(none);
  }
  row[dir].replaceChildren(...parts);
}

function platforms() {
  if (!clock) return;
  const now = city();
  const at = new Map();
  for (const t of trains.values()) {
    const key = `${t.line}/${t.station}/${t.dir}`;
    const note = t.broken ? "broken down" : t.depart <= now ? "left" : "";
    at.set(key, [...(at.get(key) ?? []), { id: t.id, note }]);
  }
  for (const [key, row] of rows) {
    for (const dir of ["a", "b"]) {
      show(row, dir, (at.get(`${key}/${dir}`) ?? []).sort((x, y) => (x.id < y.id ? -1 : 1)));
    }
  }
  const count = live("trains");
  if (count) count.textContent = numbers.format(trains.size);
}

function time() {
  if (!clock) return;
  const el = live("clock");
  const at = new Date(t0 + city());
  if (el) {
    const p = Object.fromEntries(dates.formatToParts(at).map((x) => [x.type, x.value]));
    el.textContent = `${p.weekday} ${p.day} ${p.month} ${p.year}, ${p.hour}:${p.minute}:${p.second}`;
    el.dateTime = at.toISOString();
  }
  const old = live("stale");
  if (old) old.hidden = Date.now() - heard < 10_000;
}

function status(l) {
  const el = document.querySelector(`[data-status="${CSS.escape(l.id)}"]`);
  if (!el) return;
  const strong = document.createElement("strong");
  strong.textContent = words[l.status] ?? l.status;
  const toward = network.lines.find((n) => n.id === l.id)?.toward ?? ["", ""];
  const span = (s) => (s < 90 ? `${s} s` : `${Math.round(s / 60)} min`);
  const ways = l.headways.map(([seen, due], i) => (seen ? ` · ${toward[i]} every ${span(seen)}${due ? ` (timetable ${span(due)})` : ""}` : "")).join("");
  el.replaceChildren(strong, `${l.reason ? `: ${l.reason}` : ""} · ${l.trains} ${l.trains === 1 ? "train" : "trains"}${ways}`);
}

function frame(f, whole) {
  heard = Date.now();
  if (whole) {
    t0 = f.t0;
    trains.clear();
  } else if (f.sent) {
    lag = Math.min(lag, Date.now() - f.sent);
  }
  if (f.clock) clock = f.clock;
  if (lag === Infinity && f.sent) lag = Date.now() - f.sent;
  f.trains?.forEach(place);
  f.gone?.forEach((id) => trains.delete(id));
  f.totals?.forEach(([station, total]) => {
    for (const l of network.lines) {
      const row = rows.get(`${l.id}/${station}`);
      if (row) row.total.textContent = numbers.format(total);
    }
  });
  f.lines?.forEach(status);
  const speed = live("speed");
  if (speed && f.clock) speed.textContent = clock.paused ? "paused" : `at ${clock.speed} times real time`;
  const weather = live("weather");
  if (weather && f.weather) weather.textContent = `${Math.round(f.weather.temperature)}°F, ${f.weather.status.replaceAll("_", " ")}`;
  const entries = live("entries");
  if (entries && f.rate) entries.textContent = numbers.format(f.rate.entries_min);
  platforms();
}

const stream = new EventSource("/api/v1/stream");
stream.addEventListener("snapshot", (e) => frame(JSON.parse(e.data), true));
stream.addEventListener("delta", (e) => frame(JSON.parse(e.data), false));
setInterval(() => {
  time();
  platforms();
}, 500);

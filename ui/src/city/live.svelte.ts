import { City, type Changes, type Clock, type StationRow, type Train, type Weather } from './fold'
import { Motion, Way } from './motion'
import { Latency } from './latency'
import { CityTime, ServerTime, Sleep } from './time'
import type { Delta, NetworkDocument, NetworkLine, NetworkPattern, NetworkStation, Snapshot, WireLine, WireRate } from './wire'

/** How the stream is: connecting, live, quiet (no news for ten seconds) or gone. */
export type Link = 'connecting' | 'live' | 'quiet' | 'gone'

/** A stream that is alive says something at least every five seconds while the city runs. */
const ALIVE_MS = 6000

/** Beyond this much wall time without news, what is shown is old. */
export const STALE_MS = 10_000

/**
 * Live is the one store of the page: it holds the stream, folds it, and keeps
 * every train's motion. What changes many times a second is plain data for the
 * canvases to read each frame; what people read is reactive state, renewed at
 * most a few times a second.
 */
export class Live {
  readonly city = new City()
  readonly server = new ServerTime()
  readonly time = new CityTime()
  readonly latency = new Latency()
  readonly motions = new Map<string, Motion>()
  readonly lines = new Map<string, NetworkLine>()
  readonly stations = new Map<number, NetworkStation>()
  readonly ways: Way[]

  link: Link = $state('connecting')
  /** Why the server said it closes. */
  bye = $state('')
  /** City time by the second, for text. */
  now = $state(0)
  clock: Clock | undefined = $state.raw()
  status: ReadonlyMap<string, WireLine> = $state.raw(new Map())
  weather: Weather | undefined = $state.raw()
  rate: WireRate = $state.raw({ entries_min: 0, arrivals_min: 0 })
  /** Entries a minute over the last hours, [city ms, entries], for the sparkline. */
  rates: readonly (readonly [number, number])[] = $state.raw([])
  totals: ReadonlyMap<number, readonly [number, number]> = $state.raw(new Map())
  rows: ReadonlyMap<string, readonly StationRow[]> = $state.raw(new Map())
  /** Rises whenever trains changed; read it to follow `city.trains` in text. */
  trainsVersion = $state(0)
  /** Seconds since the last message, for people. */
  silence = $state(0)
  p50 = $state(0)
  p99 = $state(0)

  /** Settled with the first snapshot. */
  readonly first: Promise<void>
  private begun: () => void = () => {}

  /** Told of every train that changed. */
  readonly trainListeners = new Set<(t: Train) => void>()

  /** Called on every message. */
  onNews: () => void = () => {}

  private source: EventSource | undefined
  private heardAt = 0
  private caughtUp = 0
  private retry = 0
  private trainsDirty = false
  private textDirty: Partial<Changes> = {}
  private timers: ReturnType<typeof setTimeout>[] = []
  private stopped = false
  private readonly sleep = new Sleep()
  private slept = false // since the last snapshot
  private hiddenAt = 0

  constructor(readonly net: NetworkDocument) {
    for (const l of net.lines) this.lines.set(l.id, l)
    for (const s of net.stations) this.stations.set(s.id, s)
    this.ways = net.patterns.map((p) => new Way(p))
    this.first = new Promise((r) => (this.begun = r))
  }

  start(): void {
    this.open()
    void this.ask()
    void this.recall().catch(() => undefined) // the sparkline begins now, then
    this.every(250, () => this.tell())
    this.every(60_000, () => void this.ask())
    document.addEventListener('visibilitychange', this.wake)
    document.addEventListener('resume', this.wake)
    addEventListener('pageshow', this.wake)
    addEventListener('online', this.wake)
  }

  stop(): void {
    this.stopped = true
    this.source?.close()
    for (const t of this.timers) clearInterval(t)
    document.removeEventListener('visibilitychange', this.wake)
    document.removeEventListener('resume', this.wake)
    removeEventListener('pageshow', this.wake)
    removeEventListener('online', this.wake)
  }

  pattern(i: number): NetworkPattern | undefined {
    return this.net.patterns[i]
  }

  lineOf(pattern: number): NetworkLine | undefined {
    const p = this.net.patterns[pattern]
    return p && this.lines.get(p.line)
  }

  stationName(id: number): string {
    const known = this.stations.get(id)
    if (known) return known.name
    for (const r of this.city.rows.values()) if (r.id === id) return r.name
    return `Station ${id}`
  }

  /** City time now, for frames. */
  cityNow(): number {
    return this.time.now(this.server.now())
  }

  /** Moves every drawn train up to now. */
  step(city: number, dt: number): void {
    const speed = this.time.speed
    for (const m of this.motions.values()) m.step(city, speed, dt)
  }

  /** Puts every train at the platform where it was last seen, for viewers who want no motion. */
  stand(): void {
    for (const m of this.motions.values()) {
      m.aim(this.cityNow())
      m.s = m.way.at(m.train.call)
      m.v = 0
    }
  }

  /** Puts every train where it is, as after a sleep. */
  place(): void {
    const city = this.cityNow()
    const wall = performance.now()
    for (const m of this.motions.values()) m.place(city, wall)
  }

  /** Sets speed or pause of the city; the answer shows on the stream. */
  async command(body: { speed?: number; paused?: boolean }): Promise<string> {
    const r = await fetch('/api/v1/clock', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
    if (r.ok) return ''
    const answer = (await r.json().catch(() => ({}))) as { error?: string }
    return answer.error ?? `the server answered ${r.status}`
  }

  private every(ms: number, f: () => void): void {
    this.timers.push(setInterval(f, ms))
  }

  private open(): void {
    if (this.stopped) return
    this.source?.close()
    const s = new EventSource('/api/v1/stream')
    this.source = s
    s.addEventListener('snapshot', (e: MessageEvent<string>) => this.take(e.data, true))
    s.addEventListener('delta', (e: MessageEvent<string>) => this.take(e.data, false))
    s.addEventListener('bye', (e: MessageEvent<string>) => {
      this.bye = text(e.data)
    })
    s.onopen = () => {
      this.retry = 0
    }
    s.onerror = () => {
      if (this.link !== 'connecting') this.link = 'gone'
      // The browser tries again by itself unless the answer was no stream at all.
      if (s.readyState === EventSource.CLOSED) {
        this.retry = Math.min(15_000, 1000 + this.retry * 2)
        setTimeout(this.reopen, this.retry * (0.7 + Math.random() * 0.6))
      }
    }
  }

  private readonly reopen = (): void => {
    if (this.source?.readyState === EventSource.CLOSED) this.open()
  }

  /**
   * Somebody looks again, after a while or a sleep. A connection that slept may be
   * dead without knowing, and what it held back is old: a new one begins with the present.
   */
  private readonly wake = (): void => {
    if (document.hidden) {
      this.hiddenAt = performance.now()
      return
    }
    if (this.heardAt === 0) return
    this.notice()
    if (this.source?.readyState !== EventSource.OPEN || performance.now() - this.heardAt > ALIVE_MS) this.open()
    else if (performance.now() - this.hiddenAt > 2000) this.place()
  }

  /** Whether the machine slept; then the server is asked anew what time it is. */
  private notice(): boolean {
    if (!this.sleep.noticed(performance.now(), Date.now())) return false
    this.slept = true
    this.server.forget()
    void this.ask()
    return true
  }

  private take(data: string, whole: boolean): void {
    const d = JSON.parse(data) as Snapshot
    const wall = () => this.server.now()
    const before = this.city.clock
    const away = this.heardAt > 0 && (performance.now() - this.heardAt > STALE_MS || (whole && this.slept))
    if (whole) this.slept = false
    const seen = (d.trains ?? []).map((t) => this.city.trains.get(t[0])?.appended ?? 0)
    const c = whole ? this.city.snapshot(d) : this.city.delta(d as Delta)
    this.server.heard(d.sent)
    this.heardAt = performance.now()
    this.bye = ''
    this.link = 'live'
    const clock = this.city.clock
    const anew = !!before && !!clock && (before.seed !== clock.seed || before.start !== clock.start)
    if (c.clock || whole) this.time.set(clock, wall(), anew)
    else this.time.alive(wall())
    this.follow(c, anew || away)
    if (whole) this.caughtUp = performance.timeOrigin + performance.now()
    else this.measure(d.sent, c.trains, seen)
    if (c.clock || whole) this.clock = clock
    if (c.trains.length > 0 || c.gone.length > 0 || whole) this.trainsDirty = true
    for (const k of ['lines', 'rows', 'totals', 'weather', 'rate'] as const) if (c[k] || whole) this.textDirty[k] = true
    if (whole) {
      this.tell()
      this.begun()
    }
    this.onNews()
  }

  /**
   * Notes the arrivals that are news, to be measured when they are drawn: from the
   * append of the sensor's own record. What was sent before this viewer came is
   * catching up and says nothing of how fast news travels; totals wait by design.
   */
  private measure(sent: number, trains: readonly Train[], before: readonly number[]): void {
    const offset = this.latency.offset
    if (offset === undefined || sent - offset < this.caughtUp) return
    for (const [i, t] of trains.entries()) if (t.appended > (before[i] ?? 0)) this.latency.arrived(t.appended)
  }

  /** Makes the motions follow the fold. */
  private follow(c: Changes, place: boolean): void {
    const city = this.cityNow()
    const wall = performance.now()
    for (const id of c.gone) this.motions.delete(id)
    const told = c.all ? this.city.trains.values() : c.trains
    for (const t of told) {
      const way = this.ways[t.pattern]
      if (!way || t.call < 0) {
        this.motions.delete(t.id)
        continue
      }
      const m = this.motions.get(t.id)
      if (!m) this.motions.set(t.id, new Motion(t, way, city, wall))
      else {
        m.told(t, way, city, wall)
        if (place) m.place(city, wall)
      }
    }
    if (this.trainListeners.size > 0) for (const t of c.all ? this.city.trains.values() : c.trains) for (const f of this.trainListeners) f(t)
    if (c.all) for (const id of [...this.motions.keys()]) if (!this.city.trains.has(id)) this.motions.delete(id)
  }

  /** Renews what people read. */
  private tell(): void {
    if (!document.hidden && this.notice() && this.heardAt > 0) this.open()
    const wall = this.server.now()
    const now = Math.floor(this.time.now(wall) / 1000) * 1000
    if (now !== this.now) this.now = now
    const quiet = performance.now() - this.heardAt
    this.silence = this.heardAt > 0 ? Math.floor(quiet / 1000) : 0
    if (this.link === 'live' && quiet > STALE_MS) this.link = 'quiet'
    if (this.trainsDirty) this.trainsVersion++
    this.trainsDirty = false
    const d = this.textDirty
    this.textDirty = {}
    if (d.lines) this.status = new Map(this.city.lines)
    if (d.totals) this.totals = new Map(this.city.totals)
    if (d.weather) this.weather = this.city.weather
    if (d.rate) {
      this.rate = this.city.rate
      const last = this.rates.at(-1)
      if (!last || now - last[0] >= 60_000 || now < last[0]) this.rates = [...this.rates.slice(-179), [now, this.rate.entries_min]]
    }
    if (d.rows) {
      const rows = new Map<string, StationRow[]>()
      for (const r of this.city.rows.values()) {
        const list = rows.get(r.line)
        if (list) list.push(r)
        else rows.set(r.line, [r])
      }
      for (const list of rows.values()) list.sort((x, y) => x.order - y.order || x.id - y.id)
      this.rows = rows
    }
    const [p50, p99] = this.latency.quantiles()
    if (p50 !== this.p50) this.p50 = p50
    if (p99 !== this.p99) this.p99 = p99
  }

  /** Gets the entries of the last hours, which the stream does not tell. */
  private async recall(): Promise<void> {
    const r = await fetch('/api/v1/entries')
    if (!r.ok) return
    const { windows } = (await r.json()) as { windows: { start: number; count: number }[] }
    const full = windows.slice(-37, -1).map((w): [number, number] => [w.start + 300_000, w.count / 5])
    this.rates = [...full, ...this.rates.filter((p) => p[0] > (full.at(-1)?.[0] ?? 0))]
  }

  /** Asks the server what time it is. */
  private async ask(): Promise<void> {
    for (let i = 0; i < 4 && !this.stopped; i++) {
      const out = performance.timeOrigin + performance.now()
      try {
        const r = await fetch('/api/v1/clock', { cache: 'no-store' })
        const back = performance.timeOrigin + performance.now()
        const body = (await r.json()) as { sent: number }
        const first = !this.server.known
        this.server.roundTrip(out, body.sent, back)
        if (first) this.time.set(this.city.clock, this.server.now(), true) // until now it was a guess
        this.latency.offset = this.server.now() - (performance.timeOrigin + performance.now())
      } catch {
        return // the stream says that the server is gone; no need to say it twice
      }
    }
  }
}

function text(data: string): string {
  try {
    const v = JSON.parse(data) as unknown
    if (typeof v === 'string') return v
    if (v && typeof v === 'object' && 'reason' in v) return String(v.reason)
  } catch {
    // not JSON: as it is
  }
  return data.slice(0, 200)
}

import type { Delta, Snapshot, WireLine, WireRate, WireTrain, WireWeather } from './wire'

/** Train status on the wire. */
export const IN_SERVICE = 0
export const OUT_OF_SERVICE = 1
export const BROKEN_DOWN = 2

/** A train as last told. Times are city time in milliseconds since the epoch; 0 means none. */
export interface Train {
  id: string
  pattern: number
  call: number
  status: number
  arrived: number
  depart: number
  next: number
  due: number
  delay: number // seconds behind schedule
  appended: number // wall ms
}

/** The city's clock: at wall time `wall` (the server's) it was `city`. */
export interface Clock {
  city: number
  wall: number
  speed: number
  paused: boolean
  control: boolean
  seed: number
  start: number
}

export interface StationRow {
  line: string
  id: number
  order: number
  name: string
}

export interface Weather {
  at: number
  temperature: number
  status: string
}

/** What a message changed, so that views redraw no more than they must. */
export interface Changes {
  all: boolean
  clock: boolean
  trains: Train[]
  gone: string[]
  lines: boolean
  rows: boolean
  totals: boolean
  weather: boolean
  rate: boolean
}

/** City is the state that the stream's snapshot and deltas add up to. */
export class City {
  t0 = 0
  clock: Clock | undefined
  readonly trains = new Map<string, Train>()
  readonly lines = new Map<string, WireLine>()
  readonly rows = new Map<string, StationRow>()
  readonly totals = new Map<number, readonly [total: number, last5: number]>()
  weather: Weather | undefined
  rate: WireRate = { entries_min: 0, arrivals_min: 0 }

  /** Replaces everything. */
  snapshot(s: Snapshot): Changes {
    this.t0 = s.t0
    this.trains.clear()
    this.lines.clear()
    this.rows.clear()
    this.totals.clear()
    this.clock = undefined
    this.weather = undefined
    const changes = this.delta(s)
    changes.all = true
    return changes
  }

  /** Applies what changed. */
  delta(d: Delta): Changes {
    const c: Changes = {
      all: false,
      clock: d.clock !== undefined,
      trains: [],
      gone: d.gone ?? [],
      lines: d.lines !== undefined,
      rows: d.stations !== undefined || d.stations_gone !== undefined,
      totals: d.totals !== undefined,
      weather: d.weather !== undefined,
      rate: d.rate !== undefined,
    }
    if (d.clock) this.clock = { ...d.clock, city: d.clock.city + this.t0, start: d.clock.start + this.t0 }
    for (const w of d.trains ?? []) {
      const t = this.train(w)
      this.trains.set(t.id, t)
      c.trains.push(t)
    }
    for (const id of c.gone) this.trains.delete(id)
    for (const l of d.lines ?? []) this.lines.set(l.id, { ...l, at: l.at && l.at + this.t0 })
    for (const [line, id, order, name] of d.stations ?? []) this.rows.set(`${line}/${id}`, { line, id, order, name })
    for (const [line, id] of d.stations_gone ?? []) this.rows.delete(`${line}/${id}`)
    for (const [id, total, last5] of d.totals ?? []) this.totals.set(id, [total, last5])
    if (d.weather) this.weather = this.reading(d.weather)
    if (d.rate) this.rate = d.rate
    return c
  }

  /** The rows of the stations table of one line, in order. */
  stationsOf(line: string): StationRow[] {
    return [...this.rows.values()].filter((r) => r.line === line).sort((x, y) => x.order - y.order || x.id - y.id)
  }

  private train(w: WireTrain): Train {
    return {
      id: w[0],
      pattern: w[1],
      call: w[2],
      status: w[3],
      arrived: w[4] + this.t0,
      depart: w[5] && w[5] + this.t0,
      next: w[6],
      due: w[7] && w[7] + this.t0,
      delay: w[8],
      appended: w[9],
    }
  }

  private reading(w: WireWeather): Weather {
    return { at: w.at + this.t0, temperature: w.temperature, status: w.status }
  }
}

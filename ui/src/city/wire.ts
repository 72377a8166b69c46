// The wire of docs/stream.md as types. Nothing here acts.

export type Direction = 'a' | 'b'

export interface NetworkLine {
  id: string
  name: string
  color: string
  toward: [string, string]
  stations: number[]
}

export interface NetworkCall {
  station: number
  dir: Direction
  at: number // metres along the shape
  run: number // seconds to the next call
  track: number // metres to the next call
  turn: boolean
}

export interface NetworkPattern {
  id: string
  line: string
  name: string
  circuit: boolean
  shape: [number, number][]
  shape_at: number[]
  calls: NetworkCall[]
}

export interface NetworkStation {
  id: number
  name: string
  descriptive: string
  slug: string
  lat: number
  lon: number
  ada: boolean
  lines: string[]
  entries: [number, number, number]
}

export interface NetworkDocument {
  lines: NetworkLine[]
  patterns: NetworkPattern[]
  stations: NetworkStation[]
}

/** [id, pattern, call, status, arrived, depart, next, due, delay_s, appended]; city times relative to t0. */
export type WireTrain = [string, number, number, number, number, number, number, number, number, number]

export interface WireClock {
  city: number
  wall: number
  speed: number
  paused: boolean
  control: boolean
  seed: number
  start: number
}

export interface WireLine {
  id: string
  status: string
  reason: string
  trains: number
  headways: [[number, number], [number, number]]
  at: number
}

export type WireStation = [string, number, number, string]
export type WireTotal = [number, number, number]

export interface WireWeather {
  at: number
  temperature: number
  status: string
}

export interface WireRate {
  entries_min: number
  arrivals_min: number
}

export interface Delta {
  clock?: WireClock
  trains?: WireTrain[]
  gone?: string[]
  lines?: WireLine[]
  stations?: WireStation[]
  stations_gone?: [string, number][]
  totals?: WireTotal[]
  weather?: WireWeather | null
  rate?: WireRate
  appended?: number
  sent: number
}

export interface Snapshot extends Delta {
  v: number
  t0: number
}

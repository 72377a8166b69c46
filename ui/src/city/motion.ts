import { BROKEN_DOWN, IN_SERVICE, type Train } from './fold'
import type { NetworkPattern } from './wire'

/** Acceleration and braking of a train in m/s² of city time. */
const ACCELERATION = 1.1

/** How long after its time a train is called overdue, ms. */
export const OVERDUE_MS = 8000

/** A train without news waits this many metres short of the platform. */
const SHORT = 25

/** Way is a pattern's round trip as one closed line: metres from call 0. */
export class Way {
  /** where[i] is the distance of call i from call 0; where[n] is the whole length. */
  readonly where: number[] = [0]
  readonly length: number

  constructor(readonly pattern: NetworkPattern) {
    for (const [i, c] of pattern.calls.entries()) this.where.push((this.where[i] ?? 0) + Math.max(0, c.turn ? 0 : c.track))
    this.length = Math.max(1, this.where[pattern.calls.length] ?? 1)
  }

  at(call: number): number {
    return this.where[call] ?? 0
  }

  /** How far ahead `to` is of `from`, 0 up to the length. */
  ahead(from: number, to: number): number {
    const d = (to - from) % this.length
    return d < 0 ? d + this.length : d
  }

  /** The leg that a distance is on, and how far along it. */
  leg(s: number): { call: number; part: number } {
    const x = this.ahead(0, s)
    const n = this.pattern.calls.length
    let lo = 0
    let hi = n - 1
    while (lo < hi) {
      const mid = (lo + hi + 1) >> 1
      if ((this.where[mid] ?? 0) <= x) lo = mid
      else hi = mid - 1
    }
    const start = this.where[lo] ?? 0
    const span = (this.where[lo + 1] ?? start) - start
    return { call: lo, part: span > 0 ? Math.min(1, (x - start) / span) : 0 }
  }
}

/**
 * How much of a run of `length` metres in `time` seconds is done after `t`
 * seconds: speed up, run at one speed, brake. Where the time is too short for
 * that acceleration, half the run is speeding up and half braking.
 */
export function profile(length: number, time: number, t: number): number {
  if (t <= 0 || length <= 0) return 0
  if (t >= time) return length
  // v·(time - v/a) = length, the lower root.
  const root = time * time - (4 * length) / ACCELERATION
  const a = root > 0 ? ACCELERATION : (4 * length) / (time * time)
  const v = root > 0 ? (a * (time - Math.sqrt(root))) / 2 : (a * time) / 2
  const up = v / a
  if (t < up) return (a * t * t) / 2
  if (t > time - up) return length - (a * (time - t) * (time - t)) / 2
  return v * (t - up / 2)
}

/** Where a train stands in the eyes of a viewer. */
export type Sight = 'standing' | 'moving' | 'overdue' | 'out' | 'broken'

/**
 * Motion is one train as it is drawn: a distance on its way that only grows.
 * `aim` says where the train should be by what is known; the drawn train follows
 * with speed alone (a critically damped spring that cannot go backwards).
 */
export class Motion {
  /** Metres from call 0 of the way, drawn. */
  s: number
  /** Drawn speed, metres a wall second. */
  v = 0
  sight: Sight = 'standing'
  /** Wall ms at which it was placed rather than moved; fades in from there. */
  placed: number
  /** How often it was placed after the first time. */
  placements = 0

  constructor(
    public train: Train,
    public way: Way,
    city: number,
    wall: number,
  ) {
    this.s = 0
    this.placed = wall
    this.s = this.aim(city)
  }

  /** News of the train. */
  told(train: Train, way: Way, city: number, wall: number): void {
    if (way !== this.way) {
      const kept = this.sameLeg(way)
      this.way = way
      this.train = train
      if (kept === undefined) this.place(city, wall)
      else this.s = kept
    }
    this.train = train
    const gap = this.gap(city)
    // Round the corner from where it is drawn: nothing but a new place will do.
    if (gap < -this.way.length / 8 || gap > this.way.length / 3) this.place(city, wall)
  }

  /** Puts the train where it should be: for the first sight of it and after a long absence. */
  place(city: number, wall: number): void {
    this.s = this.aim(city)
    this.v = 0
    this.placed = wall
    this.placements++
  }

  /** Where the train should be, metres on its way. */
  aim(city: number): number {
    const t = this.train
    const from = this.way.at(t.call)
    this.sight = t.status === IN_SERVICE ? 'standing' : t.status === BROKEN_DOWN ? 'broken' : 'out'
    if (t.status !== IN_SERVICE || t.next < 0 || t.due <= 0) return from
    const depart = Math.max(t.depart, t.arrived)
    if (city <= depart) return from
    const run = this.way.ahead(from, this.way.at(t.next))
    this.sight = run > 0 ? 'moving' : 'standing'
    if (city > t.due + OVERDUE_MS) this.sight = 'overdue'
    const reach = Math.max(0, run - Math.min(SHORT, run / 10))
    return from + profile(reach, Math.max(1, (t.due - depart) / 1000), (city - depart) / 1000)
  }

  /** How far the aim is ahead of what is drawn; negative when it was passed. */
  private gap(city: number): number {
    const d = this.way.ahead(this.s, this.aim(city))
    return d > this.way.length / 2 ? d - this.way.length : d
  }

  /**
   * Moves the drawn train by one frame: `dt` wall seconds, up to city time
   * `city`, with the city running at `speed`.
   */
  step(city: number, speed: number, dt: number): void {
    if (dt <= 0) return
    const gap = this.gap(city)
    if (gap <= 0) {
      this.v = 0
      return
    }
    // Faster cities are corrected faster, else a correction would last many stops.
    const w = 2.2 * Math.sqrt(Math.max(1, speed))
    const u = this.aimSpeed(city, speed)
    // The spring solved exactly for an aim that moves at speed u, so that any frame length is stable.
    const x = gap - u * dt
    const dx = u - this.v
    const fade = Math.exp(-w * dt)
    const left = (x + (dx + w * x) * dt) * fade
    this.s += Math.min(Math.max(0, gap - left), gap)
    this.v = Math.max(0, u - (dx - w * (dx + w * x) * dt) * fade)
    if (this.s >= this.way.length) this.s -= this.way.length
  }

  private aimSpeed(city: number, speed: number): number {
    const h = 50 * Math.max(1, speed)
    const d = this.way.ahead(this.aim(city - h), this.aim(city))
    return d > this.way.length / 2 ? 0 : (d / h) * 1000 * speed
  }

  /** The same leg on another pattern of the line, so that a train that changes its pattern stays where it is. */
  private sameLeg(way: Way): number | undefined {
    const here = this.way.leg(this.s)
    const calls = this.way.pattern.calls
    const from = calls[here.call]
    const to = calls[(here.call + 1) % calls.length]
    if (!from || !to) return undefined
    const there = way.pattern.calls
    for (const [i, c] of there.entries()) {
      const n = there[(i + 1) % there.length]
      if (c.station === from.station && c.dir === from.dir && n?.station === to.station) {
        return way.at(i) + here.part * (way.at(i + 1) - way.at(i))
      }
    }
    return undefined
  }
}

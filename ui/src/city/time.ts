/**
 * ServerTime estimates how far the viewer's clock is from the server's, so that
 * a wrong clock on the viewer's machine does no harm.
 *
 * A round trip (asked at `out`, answered at `back`, both by the viewer's clock)
 * bounds the offset by half its length; the shortest of the last few is kept.
 */
export class ServerTime {
  private readonly trips: { offset: number; rtt: number }[] = []
  private best = 0
  known = false

  constructor(private readonly local: () => number = () => performance.timeOrigin + performance.now()) {}

  /** Adds a round trip; `sent` is the server's clock in its answer. */
  roundTrip(out: number, sent: number, back: number): void {
    if (!Number.isFinite(sent) || back < out) return
    this.trips.push({ offset: sent - (out + back) / 2, rtt: back - out })
    if (this.trips.length > 8) this.trips.shift()
    this.best = this.trips.reduce((x, y) => (y.rtt < x.rtt ? y : x)).offset
    this.known = true
  }

  /** What was measured holds no longer: the machine slept, and its steady clock with it. */
  forget(): void {
    this.trips.length = 0
    this.known = false
  }

  /** A message sent at `sent` arrived now: until a round trip is known, better than nothing. */
  heard(sent: number): void {
    if (!this.known) this.best = sent - this.local()
  }

  /** The server's wall clock now, ms. */
  now(): number {
    return this.local() + this.best
  }
}

/**
 * Sleep notices that this machine slept: the steady clock may stand still while
 * the wall clock goes on, and what was to be looked at in a moment is looked at much later.
 */
export class Sleep {
  private apart: number | undefined
  private looked = 0

  /** Whether it slept since the last look, given both clocks in ms; looks come a few times a second while the page is seen. */
  noticed(steady: number, wall: number): boolean {
    const apart = wall - steady
    const slept = this.apart !== undefined && (Math.abs(apart - this.apart) > 1500 || steady - this.looked > 5000)
    this.apart = apart
    this.looked = steady
    return slept
  }
}

/** The running of the city's clock, as last told. */
export interface Running {
  city: number
  wall: number
  speed: number
  paused: boolean
}

/** How long in wall ms the clock is trusted to run on without news. */
export const TRUST = 10_000

/**
 * CityTime turns the server's wall time into city time that never goes back and
 * never jumps by a correction: small differences are worked off by running a
 * little faster or slower. It stands still while the city is paused or silent.
 */
export class CityTime {
  private running: Running | undefined
  private shown = 0
  private at = 0
  /** Wall time of the last sign of life. */
  heard = 0

  /** News of the clock. A city that begins anew (`anew`) may go back in time. */
  set(r: Running | undefined, wall: number, anew = false): void {
    const before = this.running
    this.running = r
    this.heard = wall
    if (!r) return
    const target = this.target(wall)
    const far = Math.abs(target - this.shown) > 3000 * Math.max(1, r.speed)
    if (!before || anew || far) {
      this.shown = anew || !before ? target : Math.max(this.shown, target)
      this.at = wall
    }
  }

  /** Any message shows that the city lives. */
  alive(wall: number): void {
    this.heard = wall
  }

  private target(wall: number): number {
    const r = this.running
    if (!r) return 0
    if (r.paused) return r.city
    return r.city + Math.max(0, Math.min(wall, this.heard + TRUST) - r.wall) * r.speed
  }

  /** City time at the server's wall time, ms since the epoch. */
  now(wall: number): number {
    const r = this.running
    if (!r) return 0
    const end = this.heard + TRUST
    const dt = Math.max(0, Math.min(wall, end) - Math.min(this.at, end))
    this.at = Math.max(this.at, wall)
    const target = this.target(wall)
    if (r.paused) {
      if (target > this.shown) this.shown = target
      return this.shown
    }
    // Half of a difference is worked off in about a second.
    const expected = this.shown + dt * r.speed
    const correction = (target - expected) * (1 - Math.exp(-dt / 1400))
    this.shown = Math.max(this.shown, dt > 2000 ? target : expected + correction)
    return this.shown
  }

  get speed(): number {
    return this.running && !this.running.paused ? this.running.speed : 0
  }
}

import { describe, expect, it } from 'vitest'
import type { Train } from './fold'
import { Motion, Way, profile } from './motion'
import type { NetworkPattern } from './wire'

const legs = [800, 1200, 600]
const pattern = (id = 'x'): NetworkPattern => ({
  id,
  line: 'x',
  name: '',
  circuit: false,
  shape: [],
  shape_at: [],
  calls: [
    ...legs.map((track, i) => ({ station: i, dir: 'b' as const, at: 0, run: 90, track, turn: false })),
    { station: 3, dir: 'b', at: 0, run: 0, track: 0, turn: true },
    ...[3, 2, 1].map((station) => ({ station, dir: 'a' as const, at: 0, run: 90, track: legs[station - 1] ?? 0, turn: false })),
    { station: 0, dir: 'a', at: 0, run: 0, track: 0, turn: true },
  ],
})
const train = (over: Partial<Train>): Train => ({
  id: 'T', pattern: 0, call: 0, status: 0, arrived: 0, depart: 20_000, next: 1, due: 110_000, delay: 0, appended: 0, ...over,
})

describe('the profile of a run', () => {
  it('begins and ends at rest, and never goes back', () => {
    for (const [length, time] of [[800, 90], [5000, 300], [400, 10]] as const) {
      let last = 0
      for (let t = 0; t <= time; t += time / 500) {
        const d = profile(length, time, t)
        expect(d).toBeGreaterThanOrEqual(last - 1e-9)
        last = d
      }
      expect(profile(length, time, time)).toBe(length)
      expect(profile(length, time, time / 2)).toBeCloseTo(length / 2, 6)
      expect(profile(length, time, time / 100)).toBeLessThan(length / 100)
    }
  })
})

describe('a way', () => {
  const w = new Way(pattern())
  it('is a round trip', () => expect(w.length).toBe(5200))
  it('finds the leg of a distance', () => {
    expect(w.leg(0)).toEqual({ call: 0, part: 0 })
    expect(w.leg(1400)).toEqual({ call: 1, part: 0.5 })
    expect(w.leg(2600 + 300)).toEqual({ call: 4, part: 0.5 })
  })
})

describe('motion', () => {
  // Frames of 16 ms, all of them checked: forward only, no jump.
  const drive = (m: Motion, from: number, to: number, speed: number, most = 60) => {
    let last = m.s
    for (let t = from; t < to; t += 16 * speed) {
      m.step(t, speed, 0.016)
      const moved = m.way.ahead(last, m.s)
      expect(moved).toBeGreaterThanOrEqual(0)
      expect(moved).toBeLessThan(most)
      last = m.s
    }
    return m.s
  }

  it('dwells, runs, and waits short of the platform when overdue', () => {
    const way = new Way(pattern())
    const m = new Motion(train({}), way, 0, 0)
    expect(drive(m, 0, 19_000, 1)).toBe(0)
    expect(drive(m, 19_000, 65_000, 1)).toBeGreaterThan(300)
    const end = drive(m, 65_000, 200_000, 1)
    expect(end).toBeGreaterThan(770)
    expect(end).toBeLessThan(800)
    expect(m.sight).toBe('overdue')
  })
  it('reaches the platform soon after the news', () => {
    const way = new Way(pattern())
    const m = new Motion(train({}), way, 0, 0)
    drive(m, 0, 90_000, 1)
    m.told(train({ call: 1, arrived: 90_000, depart: 110_000, next: 2, due: 220_000 }), way, 90_000, 0)
    expect(drive(m, 90_000, 96_000, 1)).toBeCloseTo(800, -0.5)
  })
  it('waits when it was drawn too far ahead, never going back', () => {
    const way = new Way(pattern())
    const m = new Motion(train({ depart: 1000 }), way, 0, 0)
    const s = drive(m, 0, 60_000, 1)
    m.told(train({ depart: 55_000, due: 150_000 }), way, 60_000, 0)
    expect(drive(m, 60_000, 61_000, 1)).toBe(s)
    expect(drive(m, 61_000, 149_000, 1)).toBeGreaterThan(s)
    expect(m.placements).toBe(0)
  })
  it('keeps up with a city sixty times as fast', () => {
    const way = new Way(pattern())
    const m = new Motion(train({}), way, 0, 0)
    drive(m, 0, 110_000, 60)
    expect(way.ahead(m.s, m.aim(110_000))).toBeLessThan(40)
  })
  it('stays where it is when the train changes its pattern', () => {
    const a = new Way(pattern('a'))
    const b = new Way(pattern('b'))
    const m = new Motion(train({ depart: 1000 }), a, 0, 0)
    const s = drive(m, 0, 50_000, 1)
    m.told(train({ depart: 1000, pattern: 1 }), b, 50_000, 0)
    expect(m.s).toBeCloseTo(s)
    expect(m.placements).toBe(0)
  })
  it('is placed anew when it turns up far away', () => {
    const way = new Way(pattern())
    const m = new Motion(train({}), way, 0, 0)
    m.told(train({ call: 4, arrived: 0, depart: 20_000, next: 5 }), way, 1000, 0)
    expect(m.placements).toBe(1)
    expect(m.s).toBe(2600)
  })
})

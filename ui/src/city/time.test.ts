import { describe, expect, it } from 'vitest'
import { CityTime, ServerTime, Sleep, TRUST } from './time'

describe('the server clock', () => {
  it('trusts the shortest round trip, whatever the viewer believes', () => {
    let local = 5_000_000
    const t = new ServerTime(() => local)
    t.roundTrip(1000, 901_100, 1300) // 900 s ahead, 150 ms of doubt
    t.roundTrip(2000, 902_005, 2010)
    expect(t.now()).toBe(local + 900_000)
    local += 7
    expect(t.now()).toBe(local + 900_000)
  })
  it('forgets what it measured before a sleep', () => {
    let local = 0
    const t = new ServerTime(() => local)
    t.roundTrip(0, 1_000_000, 0)
    t.forget()
    local = 100
    t.heard(1_060_100) // a minute passed that the steady clock did not see
    expect(t.now()).toBe(1_060_100)
    t.roundTrip(100, 1_060_150, 200)
    expect(t.now()).toBe(1_060_100)
  })
  it('ignores answers that cannot be', () => {
    const t = new ServerTime(() => 10)
    t.roundTrip(10, Number.NaN, 20)
    t.roundTrip(10, 5, 5)
    expect(t.known).toBe(false)
  })
})

describe('the machine', () => {
  it('slept when its clocks came apart, or when nothing looked for long', () => {
    const s = new Sleep()
    expect(s.noticed(100, 1_000_100)).toBe(false)
    expect(s.noticed(350, 1_000_352)).toBe(false)
    expect(s.noticed(600, 1_030_600)).toBe(true) // 30 s that the steady clock did not see
    expect(s.noticed(850, 1_030_850)).toBe(false)
    expect(s.noticed(9000, 1_039_000)).toBe(true) // frozen
  })
})

describe('city time', () => {
  const run = { city: 1_000_000, wall: 0, speed: 10, paused: false }
  it('runs at the speed of the city', () => {
    const c = new CityTime()
    c.set(run, 0)
    expect(c.now(1000)).toBeCloseTo(1_010_000)
  })
  it('stands still after ten seconds of silence', () => {
    const c = new CityTime()
    c.set(run, 0)
    for (let t = 0; t < 30_000; t += 16) c.now(t)
    expect(c.now(30_000)).toBeCloseTo(1_000_000 + TRUST * 10, -3)
  })
  it('works off a correction without going back or jumping', () => {
    const c = new CityTime()
    c.set(run, 0)
    let last = c.now(1000)
    c.set({ ...run, city: 1_008_500, wall: 1000 }, 1000) // we were 1.5 city seconds ahead
    for (let t = 1016; t < 9000; t += 16) {
      const now = c.now(t)
      expect(now).toBeGreaterThanOrEqual(last)
      expect(now - last).toBeLessThan(400)
      last = now
    }
    expect(last).toBeCloseTo(1_008_500 + (8984 - 1000) * 10, -2.5)
  })
  it('keeps still while paused', () => {
    const c = new CityTime()
    c.set({ ...run, paused: true }, 0)
    expect(c.now(5000)).toBe(1_000_000)
  })
})

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fixture } from '../map/fixture.test-data'
import { Ladder, spread } from './ladder'
import { Way } from './motion'

const net = fixture((f) => readFileSync(new URL(`../../../internal/cta/data/${f}`, import.meta.url), 'utf8'))
const ladder = (line: string) => {
  const ways = net.patterns.filter((p) => p.line === line).map((p) => new Way(p))
  return { ladder: new Ladder(ways), ways }
}

describe('the ladder', () => {
  for (const line of net.lines) {
    it(`has every station of the ${line.name} once, in its bounds, and moves without jumps`, () => {
      const { ladder: l, ways } = ladder(line.id)
      const stations = new Set(ways.flatMap((w) => w.pattern.calls.map((c) => c.station)))
      expect(new Set(l.rungs.map((r) => r.station))).toEqual(stations)
      expect(l.rungs).toHaveLength(stations.size)
      for (const w of ways) {
        let last = l.place(w, 0)
        for (let s = 0; s < w.length; s += 20) {
          const p = l.place(w, s)
          expect(p?.y).toBeGreaterThanOrEqual(-1)
          expect(p?.y).toBeLessThanOrEqual(l.length + 1)
          expect(Math.abs((p?.y ?? 0) - (last?.y ?? 0)), `${w.pattern.id} at ${s}`).toBeLessThan(45)
          last = p
        }
      }
    })
  }
  it('puts the branch of the Green Line in a column of its own', () => {
    const { ladder: l } = ladder('green')
    expect(l.rungs.filter((r) => r.column > 0)).toHaveLength(2)
    expect(l.forks).toHaveLength(1)
  })
  it('bends the Brown Line round the Loop at its foot', () => {
    const { ladder: l } = ladder('brown')
    expect(l.rungs.filter((r) => r.loop).length).toBe(8)
    expect(l.loopFrom).toBeLessThan(l.length)
  })
})

describe('labels moved apart', () => {
  it('keep their order and room', () => {
    const y = spread([10, 11, 12, 50, 51], 10, 0, 100)
    expect(y).toEqual([1, 11, 21, 45.5, 55.5])
  })
  it('stay in bounds', () => {
    expect(spread([0, 0, 0], 10, 0, 100)).toEqual([0, 10, 20])
    expect(spread([100, 100], 10, 0, 100)).toEqual([90, 100])
  })
})

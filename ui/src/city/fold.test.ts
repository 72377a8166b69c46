import { readFileSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { City } from './fold'
import type { Delta, Snapshot } from './wire'

// Frames that Go wrote: internal/board/testdata/frames.
const frames = new URL('../../../internal/board/testdata/frames/', import.meta.url)
const read = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, frames), 'utf8')) as T

const plain = (c: City) => ({
  clock: c.clock,
  trains: [...c.trains].sort(),
  lines: [...c.lines].sort(),
  rows: [...c.rows].sort(),
  totals: [...c.totals].sort(),
  weather: c.weather,
  rate: c.rate,
})

describe('the fold of golden frames', () => {
  const deltas = readdirSync(frames)
    .filter((n) => n.startsWith('delta-'))
    .map((n) => [Number(/\d+/.exec(n)?.[0]), n] as const)
    .sort((x, y) => x[0] - y[0])

  it('has frames to read', () => expect(deltas.length).toBeGreaterThan(3))

  it('makes the last snapshot from the first and the deltas', () => {
    const folded = new City()
    folded.snapshot(read<Snapshot>('snapshot-1.json'))
    for (const [, name] of deltas) folded.delta(read<Delta>(name))
    const told = new City()
    told.snapshot(read<Snapshot>(`snapshot-${deltas.at(-1)?.[0]}.json`))
    expect(plain(folded)).toEqual(plain(told))
    expect(told.trains.size).toBeGreaterThan(0)
  })

  it('says what a delta changed and forgets what is gone', () => {
    const c = new City()
    c.snapshot({ v: 1, t0: 1000, sent: 0, trains: [['RD1', 0, 0, 0, 5, 0, 1, 9, -3, 7]], totals: [[1, 2, 3]] })
    expect(c.trains.get('RD1')).toMatchObject({ arrived: 1005, depart: 0, due: 1009, delay: -3 })
    const changes = c.delta({ sent: 1, gone: ['RD1'], totals: [[1, 5, 4]] })
    expect(c.trains.size).toBe(0)
    expect(c.totals.get(1)).toEqual([5, 4])
    expect(changes).toMatchObject({ all: false, gone: ['RD1'], totals: true, lines: false })
  })
})

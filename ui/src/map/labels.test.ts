import { describe, expect, it } from 'vitest'
import { placeLabels, type Wish } from './labels'

const wish = (id: number, x: number, y: number): Wish => ({ id, text: 'Washington', x, y, rx: 4, ry: 4, sides: ['e', 'w', 'n', 's'], bold: false })
const place = (w: Wish[]) => placeLabels(w, 12, (t) => t.length * 6, () => true)

describe('names on the map', () => {
  it('go to another side where the first is taken', () => {
    const out = place([wish(1, 0, 0), wish(2, 30, 0)])
    expect(out).toHaveLength(2)
    expect(out[0]?.x).toBeLessThan(0)
  })
  it('go where they cover no track, and onto it rather than nowhere', () => {
    const along = Array.from({ length: 3 }, (_, i): [number, number] => [i * 7, 0])
    const beside = (sides: Wish['sides']) => placeLabels([{ ...wish(1, 0, 0), sides }], 12, (t) => t.length * 6, () => true, along)[0]
    expect(beside(['e', 'w'])?.x).toBeLessThan(0)
    expect(beside(['e'])?.x).toBeGreaterThan(0)
  })
  it('are left out where every side is taken', () => {
    const crowd = Array.from({ length: 40 }, (_, i) => wish(i, (i % 8) * 14, Math.floor(i / 8) * 14))
    const out = place(crowd)
    expect(out.length).toBeGreaterThan(0)
    expect(out.length).toBeLessThan(crowd.length)
  })
})

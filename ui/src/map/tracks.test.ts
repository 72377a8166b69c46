import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fixture } from './fixture.test-data'
import { Graph } from './graph'
import { PLACES } from '../schematic/drawing'
import { Tracks } from './tracks'

const net = fixture((f) => readFileSync(new URL(`../../../internal/cta/data/${f}`, import.meta.url), 'utf8'))

describe('the schematic drawing', () => {
  const graph = new Graph()
  it('has every station of the network', () => {
    expect(net.stations.filter((s) => !PLACES[s.id]).map((s) => s.name)).toEqual([])
  })
  it('has no two stations on one spot', () => {
    const spots = Object.values(PLACES).map(([x, y]) => `${x},${y}`)
    expect(new Set(spots).size).toBe(spots.length)
  })
  it('has a track for every leg that trains take', () => {
    const missing = net.patterns.flatMap((p) =>
      p.calls.filter((c, i) => {
        const to = p.calls[(i + 1) % p.calls.length]
        return !c.turn && to && !graph.route(p.line, c.station, to.station)
      }).map((c) => `${p.id} ${c.station}`),
    )
    expect(missing).toEqual([])
  })
  it('draws all tracks at multiples of 45 degrees', () => {
    const bad = graph.edges.filter((e) =>
      e.drawn.some((q, i) => {
        const p = e.drawn[i - 1]
        if (!p) return false
        const [dx, dy] = [Math.abs(q[0] - p[0]), Math.abs(q[1] - p[1])]
        return dx > 1e-6 && dy > 1e-6 && Math.abs(dx - dy) > 1e-6
      }),
    )
    expect(bad.map((e) => `${e.a}-${e.b} ${JSON.stringify(e.drawn)}`)).toEqual([])
  })
})

describe('tracks', () => {
  const tracks = new Tracks(net)
  it('joins the legs of a line without gaps, in both projections', () => {
    const gaps: string[] = []
    for (const p of net.patterns) {
      for (const i of p.calls.keys()) {
        const a = tracks.leg(p, i)
        const b = tracks.leg(p, (i + 1) % p.calls.length)
        if (!a || !b) continue
        const k = a.n - 1
        const g = Math.hypot((a.gx[k] ?? 0) - (b.gx[0] ?? 0), (a.gy[k] ?? 0) - (b.gy[0] ?? 0)) * 640
        const s = Math.hypot((a.sx[k] ?? 0) - (b.sx[0] ?? 0), (a.sy[k] ?? 0) - (b.sy[0] ?? 0))
        const o = Math.hypot((a.sox[k] ?? 0) - (b.sox[0] ?? 0), (a.soy[k] ?? 0) - (b.soy[0] ?? 0))
        if (g > 70 || s > 1e-6 || o > 0.01) gaps.push(`${p.id} ${i} ${g.toFixed(0)} m, ${s.toFixed(2)}, ${o.toFixed(2)}`)
      }
    }
    expect(gaps).toEqual([])
  })
  it('is as long on the ground as the network says', () => {
    const off: string[] = []
    for (const p of net.patterns) {
      for (const [i, c] of p.calls.entries()) {
        const leg = tracks.leg(p, i)
        const metres = leg?.at[leg.n - 1] ?? 0
        if (Math.abs(metres - c.track) > 60 + c.track * 0.04) off.push(`${p.id} ${c.station}: ${metres.toFixed(0)} not ${c.track}`)
      }
    }
    expect(off).toEqual([])
  })
})

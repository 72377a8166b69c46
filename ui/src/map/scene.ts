import type { NetworkDocument } from '../city/wire'
import { PLACES, type Side } from '../schematic/drawing'
import { Tracks, type Leg, type Point } from './tracks'

/** A place in both projections, with the offsets of the outermost lines through it. */
export interface Spot {
  id: number
  name: string
  lines: readonly string[]
  g: Point
  s: Point
  /** Ends of the marker, in widths of a line off the place. */
  gFrom: Point
  gTo: Point
  sFrom: Point
  sTo: Point
  change: boolean
  end: boolean
  side: Side
  /** Whether the track on the ground runs rather east and west there. */
  level: boolean
  weight: number
}

/** Scene is what the map draws: tracks and stations, made once from the network. */
export class Scene {
  readonly tracks: Tracks
  readonly legs: { line: string; leg: Leg }[] = []
  readonly spots: Spot[] = []
  readonly byId = new Map<number, Spot>()

  constructor(readonly net: NetworkDocument) {
    this.tracks = new Tracks(net)
    const seen = new Set<string>()
    const offsets = new Map<number, { g: Point[]; s: Point[] }>()
    const level = new Map<number, number>()
    for (const p of net.patterns) {
      for (const [i, c] of p.calls.entries()) {
        const to = p.calls[(i + 1) % p.calls.length]
        const leg = this.tracks.leg(p, i)
        if (!to || !leg) continue
        note(offsets, c.station, leg, 0)
        const near = Math.min(leg.n - 1, 2)
        const slope = Math.abs((leg.gx[near] ?? 0) - (leg.gx[0] ?? 0)) - Math.abs((leg.gy[near] ?? 0) - (leg.gy[0] ?? 0))
        level.set(c.station, (level.get(c.station) ?? 0) + Math.sign(slope))
        note(offsets, to.station, leg, leg.n - 1)
        const key = `${p.line}:${Math.min(c.station, to.station)}:${Math.max(c.station, to.station)}`
        if (c.station === to.station || seen.has(key)) continue
        seen.add(key)
        this.legs.push({ line: p.line, leg })
      }
    }
    const ends = new Set(net.patterns.flatMap((p) => p.calls.filter((c, i) => c.turn || p.calls.at(i - 1)?.turn).map((c) => c.station)))
    for (const s of net.stations) {
      const at = this.tracks.spot(s.id)
      if (!at) continue
      const o = offsets.get(s.id) ?? { g: [], s: [] }
      const [gFrom, gTo] = extremes(o.g)
      const [sFrom, sTo] = extremes(o.s)
      const spot: Spot = {
        id: s.id, name: s.name, lines: s.lines, g: at.g, s: at.s, gFrom, gTo, sFrom, sTo,
        change: s.lines.length > 1, end: ends.has(s.id), side: PLACES[s.id]?.[2] ?? 'e', level: (level.get(s.id) ?? 0) > 0, weight: s.entries[0],
      }
      this.spots.push(spot)
      this.byId.set(s.id, spot)
    }
    // The first to be named: ends of lines, places to change, then the busiest.
    this.spots.sort((x, y) => rank(y) - rank(x))
  }
}

function rank(s: Spot): number {
  return (s.end ? 200_000 : 0) + (s.change ? 50_000 + s.lines.length * 5000 : 0) + s.weight
}

function note(m: Map<number, { g: Point[]; s: Point[] }>, id: number, leg: Leg, i: number): void {
  let o = m.get(id)
  if (!o) m.set(id, (o = { g: [], s: [] }))
  o.g.push([leg.gox[i] ?? 0, leg.goy[i] ?? 0])
  o.s.push([leg.sox[i] ?? 0, leg.soy[i] ?? 0])
}

/** The two offsets that are farthest apart. */
function extremes(list: Point[]): [Point, Point] {
  let best: [Point, Point] = [list[0] ?? [0, 0], list[0] ?? [0, 0]]
  let far = 0
  for (const a of list) {
    for (const b of list) {
      const d = Math.hypot(a[0] - b[0], a[1] - b[1])
      if (d > far + 1e-9) [far, best] = [d, [a, b]]
    }
  }
  return best
}

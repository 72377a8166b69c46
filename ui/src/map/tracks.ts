import type { NetworkDocument, NetworkPattern } from '../city/wire'
import { BOUNDS } from '../schematic/drawing'
import { Graph, isJunction, junction, place, type Edge, type Step } from './graph'

/** Metres on the ground to a unit of the drawing, so that both maps fill the same space. */
export const METRES = 640

export type Point = readonly [number, number]

/** Leg is the track of a line from one station to another, in both projections vertex by vertex. */
export interface Leg {
  n: number
  /** Metres from the start, by vertex. */
  at: Float64Array
  /** Geographic and schematic places, in units; ox, oy: where the line's own place is off the corridor's middle, in widths of a line. */
  gx: Float64Array
  gy: Float64Array
  gox: Float64Array
  goy: Float64Array
  sx: Float64Array
  sy: Float64Array
  sox: Float64Array
  soy: Float64Array
}

interface Vertex {
  x: number
  y: number
  u: number
}

/** Tracks makes legs from the network's shapes and the drawing. */
export class Tracks {
  readonly graph = new Graph()
  private readonly legs = new Map<string, Leg>()
  private readonly ground = new Map<Edge, Point[]>()
  private readonly lat0: number
  private readonly lon0: number
  private readonly spots = new Map<number, { g: Point; s: Point }>()

  constructor(private readonly net: NetworkDocument) {
    const lats = net.stations.map((s) => s.lat)
    const lons = net.stations.map((s) => s.lon)
    this.lat0 = (Math.min(...lats) + Math.max(...lats)) / 2
    this.lon0 = (Math.min(...lons) + Math.max(...lons)) / 2
    for (const s of net.stations) {
      const g = this.ground2([s.lat, s.lon])
      const known = this.graph.at(s.id).length > 0
      this.spots.set(s.id, { g, s: known ? place(s.id) : this.guess(g) })
    }
  }

  /** Where a place on the ground is, in units. */
  ground2([lat, lon]: readonly [number, number]): Point {
    const cx = (BOUNDS[0] + BOUNDS[2]) / 2
    const cy = (BOUNDS[1] + BOUNDS[3]) / 2
    const x = (lon - this.lon0) * 111_195 * Math.cos((this.lat0 * Math.PI) / 180)
    const y = (this.lat0 - lat) * 111_195
    return [cx + x / METRES, cy + y / METRES]
  }

  /** A station the drawing does not have goes about where it is on the ground. */
  private guess([x, y]: Point): Point {
    return [x, y]
  }

  spot(station: number): { g: Point; s: Point } | undefined {
    return this.spots.get(station)
  }

  /** The leg from call i of a pattern to the next. */
  leg(p: NetworkPattern, call: number): Leg | undefined {
    const from = p.calls[call]
    const to = p.calls[(call + 1) % p.calls.length]
    if (!from || !to) return undefined
    const key = `${p.line}:${from.station}:${to.station}`
    let leg = this.legs.get(key)
    if (!leg) {
      leg = from.station === to.station ? this.stub(p, from.station) : this.build(p, call, from.station, to.station)
      this.legs.set(key, leg)
    }
    return leg
  }

  /** A train that turns back stands at the end of the track it came by. */
  private stub(p: NetworkPattern, station: number): Leg {
    const i = p.calls.findIndex((c, k) => p.calls[(k + 1) % p.calls.length]?.station === station && c.station !== station)
    const before = i >= 0 ? this.leg(p, i) : undefined
    const at = this.spots.get(station) ?? { g: [0, 0], s: [0, 0] }
    const last = before ? before.n - 1 : 0
    const pick = (f: (l: Leg) => Float64Array, or: number) => Float64Array.of((before && f(before)[last]) ?? or)
    return {
      n: 1, at: Float64Array.of(0),
      gx: pick((l) => l.gx, at.g[0]), gy: pick((l) => l.gy, at.g[1]), sx: pick((l) => l.sx, at.s[0]), sy: pick((l) => l.sy, at.s[1]),
      gox: pick((l) => l.gox, 0), goy: pick((l) => l.goy, 0), sox: pick((l) => l.sox, 0), soy: pick((l) => l.soy, 0),
    }
  }

  private build(p: NetworkPattern, call: number, from: number, to: number): Leg {
    const steps = this.graph.route(p.line, from, to)
    if (!steps || steps.length === 0) return this.plain(p, call, from, to)
    const slot = this.slots(steps, p.line, from, to)
    const geo: Vertex[] = []
    const sch: Vertex[] = []
    for (const [i, s] of steps.entries()) {
      add(geo, oriented(this.onGround(s.edge), s.back), i)
      add(sch, oriented(s.edge.drawn, s.back), i)
    }
    const round = rounded(sch, 0.75)
    const us = merge([geo, round, slot.ramps])
    return assemble(us, geo, round, slot.at, this.side(from, p.line, steps[0]), this.side(to, p.line, steps.at(-1)))
  }

  /** A leg that the drawing does not know: straight in the schematic. */
  private plain(p: NetworkPattern, call: number, from: number, to: number): Leg {
    const shape = this.slice(p, call)
    const geo: Vertex[] = []
    add(geo, shape, 0)
    const a = this.spots.get(from)?.s ?? shape[0] ?? [0, 0]
    const b = this.spots.get(to)?.s ?? shape.at(-1) ?? [0, 0]
    const sch: Vertex[] = []
    add(sch, [a, b], 0)
    return assemble(merge([geo, sch, []]), geo, sch, () => 0, undefined, undefined)
  }

  /** The shape of a pattern from one call to the next, in units. */
  private slice(p: NetworkPattern, call: number): Point[] {
    const a = p.calls[call]?.at ?? 0
    const b = p.calls[(call + 1) % p.calls.length]?.at ?? 0
    const [lo, hi] = a <= b ? [a, b] : [b, a]
    const out: Point[] = [this.shapeAt(p, lo)]
    for (const [i, d] of p.shape_at.entries()) {
      const q = p.shape[i]
      if (q && d > lo + 2 && d < hi - 2) out.push(this.ground2(q))
    }
    out.push(this.shapeAt(p, hi))
    return a <= b ? out : out.reverse()
  }

  private shapeAt(p: NetworkPattern, d: number): Point {
    let i = p.shape_at.findIndex((x) => x >= d)
    if (i < 0) i = p.shape_at.length - 1
    const b = p.shape[i] ?? [this.lat0, this.lon0]
    const a = p.shape[i - 1] ?? b
    const da = p.shape_at[i - 1] ?? 0
    const db = p.shape_at[i] ?? da
    const t = db > da ? Math.max(0, Math.min(1, (d - da) / (db - da))) : 0
    return this.ground2([a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t])
  }

  /** The one geometry that all lines on an edge share. */
  private onGround(edge: Edge): Point[] {
    let g = this.ground.get(edge)
    if (!g) {
      g = [...this.findGround(edge)]
      // Patterns place a platform a few metres apart; lines on one track meet at the station.
      for (const [i, node] of [[0, edge.a], [g.length - 1, edge.b]] as const) g[i] = this.spots.get(node)?.g ?? g[i] ?? [0, 0]
      this.ground.set(edge, g)
    }
    return g
  }

  private findGround(edge: Edge): Point[] {
    const ends = (n: number): Set<number> => {
      if (!isJunction(n)) return new Set([n])
      return new Set(this.graph.at(n).map((e) => (e.a === n ? e.b : e.a)))
    }
    const [as, bs] = [ends(edge.a), ends(edge.b)]
    let best: Point[] | undefined
    let miss = Infinity
    for (const p of this.net.patterns) {
      if (!edge.lines.includes(p.line)) continue
      for (const [i, c] of p.calls.entries()) {
        const n = p.calls[(i + 1) % p.calls.length]
        if (!n) continue
        const along = as.has(c.station) && bs.has(n.station)
        const against = bs.has(c.station) && as.has(n.station)
        if (c.station === n.station || (!along && !against)) continue
        let pts = this.slice(p, i)
        if (!along) pts = pts.reverse()
        let far = 0
        for (const node of [edge.a, edge.b]) {
          const j = junction(node)
          if (!isJunction(node) || !j) continue
          const cut = cutAt(pts, this.ground2(j), node === edge.b)
          pts = cut.points
          far += cut.miss
        }
        if (far < miss - 1e-9) [best, miss] = [pts, far]
      }
    }
    if (best) return best
    return [edge.a, edge.b].map((n) => this.spots.get(n)?.g ?? this.ground2(junction(n) ?? [this.lat0, this.lon0]))
  }

  /** Where across the corridor a line runs, by place on the way: constant but for ramps. */
  private slots(steps: Step[], line: string, from: number, to: number): { at: (u: number) => number; ramps: Vertex[] } {
    const own = steps.map((s) => this.graph.slot(s.edge, line) * (s.back ? -1 : 1))
    const reach = steps.map((s) => Math.min(0.5, 0.9 / Math.max(0.1, length(s.edge.drawn))))
    const end = (node: number, s: Step | undefined) => (s ? this.graph.slotAt(node, line, s.edge) * (s.back ? -1 : 1) : 0)
    const knots: [number, number][] = [[0, end(from, steps[0])]]
    for (const [i, v] of own.entries()) {
      const r = reach[i] ?? 0.5
      knots.push([i + r, v], [i + 1 - r, v])
    }
    knots.push([steps.length, end(to, steps.at(-1))])
    const at = (u: number): number => {
      for (let i = 1; i < knots.length; i++) {
        const [u0, v0] = knots[i - 1] ?? [0, 0]
        const [u1, v1] = knots[i] ?? [0, 0]
        if (u > u1 && i < knots.length - 1) continue
        if (v0 === v1 || u1 <= u0) return v1
        const t = Math.max(0, Math.min(1, (u - u0) / (u1 - u0)))
        return v0 + (v1 - v0) * t * t * (3 - 2 * t)
      }
      return 0
    }
    const ramps: Vertex[] = []
    for (let i = 1; i < knots.length; i++) {
      const [u0, v0] = knots[i - 1] ?? [0, 0]
      const [u1, v1] = knots[i] ?? [0, 0]
      if (v0 !== v1) for (let k = 0; k <= 6; k++) ramps.push({ x: 0, y: 0, u: u0 + ((u1 - u0) * k) / 6 })
    }
    return { at, ramps }
  }

  /** The normal at a node, of the widest corridor there, in both projections, for a leg that takes step `s`. */
  private side(node: number, line: string, s: Step | undefined): { g: Point; s: Point } | undefined {
    if (!s) return undefined
    const widest = this.graph.widest(node, line) ?? s.edge
    const dir = (pts: readonly Point[], e: Edge): Point => {
      const [p, q] = e.a === node ? [pts[0], pts[1]] : [pts.at(-2), pts.at(-1)]
      return p && q ? unit(q[0] - p[0], q[1] - p[1]) : [0, 1]
    }
    const own = dir(s.edge.drawn, s.edge)
    const sch = dir(widest.drawn, widest)
    const geo = dir(this.onGround(widest), widest)
    const flip = (own[0] * sch[0] + own[1] * sch[1] >= 0 ? 1 : -1) * (s.back ? -1 : 1)
    return { g: [-geo[1] * flip, geo[0] * flip], s: [-sch[1] * flip, sch[0] * flip] }
  }
}

function unit(x: number, y: number): Point {
  const d = Math.hypot(x, y) || 1
  return [x / d, y / d]
}

function length(pts: readonly Point[]): number {
  let d = 0
  for (let i = 1; i < pts.length; i++) d += Math.hypot((pts[i]?.[0] ?? 0) - (pts[i - 1]?.[0] ?? 0), (pts[i]?.[1] ?? 0) - (pts[i - 1]?.[1] ?? 0))
  return d
}

function oriented(pts: readonly Point[], back: boolean): Point[] {
  return back ? [...pts].reverse() : [...pts]
}

/** Appends points with u from i to i+1 by length. */
function add(to: Vertex[], pts: readonly Point[], i: number): void {
  const all = length(pts) || 1
  let d = 0
  for (const [k, p] of pts.entries()) {
    const before = pts[k - 1]
    if (before) d += Math.hypot(p[0] - before[0], p[1] - before[1])
    const u = k === pts.length - 1 ? i + 1 : i + d / all
    const last = to.at(-1)
    if (last && u - last.u < 1e-7) continue
    to.push({ x: p[0], y: p[1], u })
  }
}

/** Cuts a line where it is nearest to a point, keeping what is before (or after) it. */
function cutAt(pts: Point[], at: Point, before: boolean): { points: Point[]; miss: number } {
  let best = Infinity
  let seg = 0
  for (let i = 1; i < pts.length; i++) {
    const [p, q] = [pts[i - 1], pts[i]]
    if (!p || !q) continue
    const [dx, dy] = [q[0] - p[0], q[1] - p[1]]
    const t = Math.max(0, Math.min(1, ((at[0] - p[0]) * dx + (at[1] - p[1]) * dy) / (dx * dx + dy * dy || 1)))
    const d = Math.hypot(p[0] + dx * t - at[0], p[1] + dy * t - at[1])
    if (d < best) [best, seg] = [d, i]
  }
  return { points: before ? [...pts.slice(0, seg), at] : [at, ...pts.slice(seg)], miss: best }
}

/** Rounds the corners of a line with a curve that begins `r` before and ends `r` after each. */
function rounded(v: Vertex[], r: number): Vertex[] {
  const out: Vertex[] = []
  for (const [i, p] of v.entries()) {
    const a = v[i - 1]
    const b = v[i + 1]
    if (!a || !b) {
      out.push(p)
      continue
    }
    const la = Math.hypot(p.x - a.x, p.y - a.y)
    const lb = Math.hypot(b.x - p.x, b.y - p.y)
    const cross = Math.abs(((p.x - a.x) * (b.y - p.y) - (p.y - a.y) * (b.x - p.x)) / (la * lb || 1))
    const k = Math.min(r, la * 0.48, lb * 0.48)
    if (cross < 0.05 || k < 0.02) {
      out.push(p)
      continue
    }
    const from = mix(p, a, k / la)
    const to = mix(p, b, k / lb)
    for (let j = 0; j <= 6; j++) out.push(mix(mix(from, p, j / 6), mix(p, to, j / 6), j / 6))
  }
  return out
}

function mix(a: Vertex, b: Vertex, t: number): Vertex {
  return { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t, u: a.u + (b.u - a.u) * t }
}

function merge(lists: Vertex[][]): number[] {
  const all = lists.flatMap((l) => l.map((v) => v.u)).sort((x, y) => x - y)
  return all.filter((u, i) => i === 0 || u - (all[i - 1] ?? 0) > 1e-6)
}

/** The point of a line at u; `from` is where to begin to look. */
function sample(v: Vertex[], u: number, from: { i: number }): Point {
  while (from.i < v.length - 2 && (v[from.i + 1]?.u ?? 0) < u) from.i++
  const a = v[from.i]
  const b = v[from.i + 1] ?? a
  if (!a || !b) return [0, 0]
  const t = b.u > a.u ? Math.max(0, Math.min(1, (u - a.u) / (b.u - a.u))) : 0
  return [a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t]
}

type Side = { g: Point; s: Point } | undefined

function assemble(us: number[], geo: Vertex[], sch: Vertex[], slot: (u: number) => number, first: Side, last: Side): Leg {
  const n = us.length
  const make = () => new Float64Array(n)
  const leg: Leg = { n, at: make(), gx: make(), gy: make(), gox: make(), goy: make(), sx: make(), sy: make(), sox: make(), soy: make() }
  const gi = { i: 0 }
  const si = { i: 0 }
  for (const [i, u] of us.entries()) {
    ;[leg.gx[i], leg.gy[i]] = sample(geo, u, gi)
    ;[leg.sx[i], leg.sy[i]] = sample(sch, u, si)
    if (i > 0) leg.at[i] = (leg.at[i - 1] ?? 0) + Math.hypot(d(leg.gx, i), d(leg.gy, i)) * METRES
  }
  for (const [i, u] of us.entries()) {
    const s = slot(u)
    const side = i === 0 ? first : i === n - 1 ? last : undefined
    const [gnx, gny] = side?.g ?? normal(leg.gx, leg.gy, i, n)
    const [snx, sny] = side?.s ?? normal(leg.sx, leg.sy, i, n)
    leg.gox[i] = gnx * s
    leg.goy[i] = gny * s
    leg.sox[i] = snx * s
    leg.soy[i] = sny * s
  }
  return leg
}

const d = (a: Float64Array, i: number): number => (a[i] ?? 0) - (a[i - 1] ?? 0)

/** The normal to the right of the way at a vertex (y grows south), lengthened at a bend so that the offset line stays parallel. */
function normal(x: Float64Array, y: Float64Array, i: number, n: number): Point {
  const dir = (from: number, step: number): Point | undefined => {
    for (let k = from + step; k >= 0 && k < n; k += step) {
      const dx = ((x[k] ?? 0) - (x[i] ?? 0)) * step
      const dy = ((y[k] ?? 0) - (y[i] ?? 0)) * step
      if (Math.hypot(dx, dy) > 1e-4) return unit(dx, dy)
    }
    return undefined
  }
  const a = dir(i, -1)
  const b = dir(i, 1)
  const [ax, ay] = a ?? b ?? [0, 1]
  const [bx, by] = b ?? a ?? [0, 1]
  const [mx, my] = unit(ax + bx, ay + by)
  const stretch = 1 / Math.max(0.6, mx * ax + my * ay)
  return [-my * stretch, mx * stretch]
}

import type { Way } from './motion'
import type { NetworkPattern } from './wire'

/** A station on the ladder: metres from the top, and which column (0 the main one) it stands in. */
export interface Rung {
  station: number
  y: number
  column: number
  /** On which rails there is a platform: -1 left (direction a), 1 right (b). */
  rails: readonly number[]
  loop: boolean
}

/** A place on the ladder: metres from the top, column, rail from -1 to 1, and widened where the line goes round the Loop. */
export interface Place {
  y: number
  column: number
  rail: number
  loop: number
}

/**
 * Ladder lays a line out as two rails from end to end, to scale: direction b
 * down the right, a up the left. A circuit's Loop is the bend at its foot: down
 * one half on the right and up the other on the left. A branch is a column.
 */
export class Ladder {
  readonly rungs: Rung[] = []
  readonly length: number
  /** Metres at which branches leave the main column, by column. */
  readonly forks: { column: number; from: number; to: number }[] = []
  /** Metres at which the Loop begins; the length where there is none. */
  readonly loopFrom: number
  private readonly places = new Map<string, Place[]>()

  constructor(ways: readonly Way[]) {
    const sorted = [...ways].sort((x, y) => y.pattern.calls.length - x.pattern.calls.length || y.length - x.length)
    const main = sorted[0]
    const byStation = new Map<number, { y: number; column: number }>()
    let deepest = 0
    let loopFrom = Infinity
    for (const [k, way] of sorted.entries()) {
      const list = lay(way)
      // A station of the main column is where the main pattern has it; beyond the last of them a branch has a column of its own.
      let base: { own: number; y: number } | undefined
      let column = 0
      for (const [i, p] of list.entries()) {
        const station = way.pattern.calls[i]?.station ?? 0
        const known = byStation.get(station)
        if (known && known.column === 0) base ??= { own: p.y, y: known.y }
      }
      const shared = list.map((p, i) => ({ p, at: byStation.get(way.pattern.calls[i]?.station ?? 0) }))
      const last = shared.reduce<{ own: number; y: number } | undefined>((x, s) => (s.at?.column === 0 && (!x || s.p.y > x.own) ? { own: s.p.y, y: s.at.y } : x), base)
      if (k > 0 && shared.some((s) => !s.at)) column = k
      const out = list.map((p, i): Place => {
        const station = way.pattern.calls[i]?.station ?? 0
        const known = k > 0 ? byStation.get(station) : undefined
        if (known) return { ...p, y: known.y, column: known.column }
        const y = last && k > 0 ? last.y + (p.y - last.own) : p.y
        return { ...p, y, column }
      })
      for (const [i, p] of out.entries()) {
        const station = way.pattern.calls[i]?.station ?? 0
        if (!byStation.has(station)) byStation.set(station, { y: p.y, column: p.column })
        deepest = Math.max(deepest, p.y)
        if (p.loop > 0) loopFrom = Math.min(loopFrom, way === main ? trunkEnd(way) : Infinity)
      }
      if (column > 0 && last) this.forks.push({ column, from: last.y, to: Math.max(...out.filter((p) => p.column === column).map((p) => p.y)) })
      this.places.set(way.pattern.id, out)
    }
    this.length = Math.max(1, deepest)
    this.loopFrom = Math.min(loopFrom, this.length)
    const rails = new Map<number, Set<number>>()
    const loops = new Set<number>()
    for (const way of sorted) {
      for (const [i, p] of (this.places.get(way.pattern.id) ?? []).entries()) {
        const id = way.pattern.calls[i]?.station ?? 0
        const set = rails.get(id) ?? new Set()
        set.add(Math.sign(p.rail))
        rails.set(id, set)
        if (p.loop > 0) loops.add(id)
      }
    }
    for (const [station, { y, column }] of byStation) {
      this.rungs.push({ station, y, column, rails: [...(rails.get(station) ?? [])], loop: loops.has(station) })
    }
    this.rungs.sort((x, y) => x.column - y.column || x.y - y.y)
  }

  /** The place of a call. */
  at(pattern: string, call: number): Place | undefined {
    return this.places.get(pattern)?.[call]
  }

  /** The place of a train that is `s` metres along its way. */
  place(way: Way, s: number): Place | undefined {
    const { call, part } = way.leg(s)
    const a = this.at(way.pattern.id, call)
    const b = this.at(way.pattern.id, (call + 1) % way.pattern.calls.length)
    if (!a || !b) return a
    const mix = (x: number, y: number) => x + (y - x) * part
    return { y: mix(a.y, b.y), column: mix(a.column, b.column), rail: mix(a.rail, b.rail), loop: mix(a.loop, b.loop) }
  }
}

/** Where the trunk of a circuit ends, metres along its way. */
function trunkEnd(way: Way): number {
  const back = new Set(way.pattern.calls.filter((c) => c.dir === 'a').map((c) => c.station))
  let end = 0
  for (const [i, c] of way.pattern.calls.entries()) if (c.dir === 'b' && back.has(c.station)) end = way.at(i)
  return end
}

/** The calls of one pattern by itself. */
function lay(way: Way): Place[] {
  const p: NetworkPattern = way.pattern
  const rail = (dir: string) => (dir === 'b' ? 1 : -1)
  if (!p.circuit) {
    const half = way.length / 2
    return p.calls.map((c, i) => {
      const s = way.at(i)
      return { y: c.dir === 'b' ? s : Math.max(0, 2 * half - s), column: 0, rail: rail(c.dir), loop: 0 }
    })
  }
  const end = trunkEnd(way)
  const firstBack = p.calls.findIndex((c) => c.dir === 'a')
  const back = way.at(firstBack)
  const round = Math.max(1, back - end)
  return p.calls.map((c, i) => {
    const s = way.at(i)
    if (c.dir === 'a') return { y: end * (1 - (s - back) / Math.max(1, way.length - back)), column: 0, rail: -1, loop: 0 }
    if (s <= end + 1e-6) return { y: s, column: 0, rail: 1, loop: 0 }
    const d = s - end
    return { y: end + Math.min(d, round - d), column: 0, rail: d <= round / 2 ? 1 : -1, loop: 1 }
  })
}

/** Moves labels apart so that each has `least` of room, keeping their order and staying near where they belong. */
export function spread(wanted: readonly number[], least: number, from: number, to: number): number[] {
  const order = wanted.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y)
  const blocks: { sum: number; n: number }[] = []
  const top = (b: { sum: number; n: number }) => b.sum / b.n
  for (const { y } of order) {
    blocks.push({ sum: y, n: 1 })
    // A block's place is the mean of what its members want, each less its own rank in it.
    for (;;) {
      const b = blocks.at(-1)
      const a = blocks.at(-2)
      if (!a || !b || top(a) + a.n * least <= top(b)) break
      blocks.splice(-2, 2, { sum: a.sum + b.sum - b.n * a.n * least, n: a.n + b.n })
    }
  }
  const out = new Array<number>(wanted.length).fill(0)
  let i = 0
  let floor = from
  for (const b of blocks) {
    let y = Math.max(floor, Math.min(top(b), to - (order.length - i - 1) * least))
    for (let k = 0; k < b.n; k++, i++, y += least) {
      const o = order[i]
      if (o) out[o.i] = y
    }
    floor = y
  }
  return out
}

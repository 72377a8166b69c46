// The form of /api/v1/pipeline, and where its parts are drawn.

export interface PipelineNode {
  id: string
  kind: string
  name: string
  state: string
  detail: string
  rate: number
}

export interface PipelineEdge {
  from: string
  to: string
  topic: string
  unit: string
  count: number
  rate: number
  lag_records: number
  lag_ms: number
  trend: number
}

export interface Pipeline {
  nodes: PipelineNode[]
  edges: PipelineEdge[]
  dead_letters: number
  at: number
}

/** The board stands apart from its last processor: many flows bend toward it, and the words of none may stand among the bends. */
const BOARD = 2.35

/** Column and row of the parts we know; others go to free places of their kind's column. */
const PLACES: Readonly<Record<string, readonly [number, number]>> = {
  source: [0, 0], city: [0, 1.5], weather: [0, 3],
  stations: [1, 0], lines: [1, 1], turnstiles: [1, 2], gateway: [1, 3],
  board: [BOARD, 1.5], viewers: [BOARD + 0.9, 1.5],
}
const COLUMN: Readonly<Record<string, number>> = { producer: 0, source: 0, gateway: 1, topic: 1, processor: 1, board: BOARD, viewers: BOARD + 0.9 }

export interface Laid extends PipelineNode {
  x: number
  y: number
}

export const NODE = { w: 166, h: 70, dx: 306, dy: 120 }

/** Gives every node a place; the registry, on which all stand, is drawn apart. */
export function lay(nodes: readonly PipelineNode[]): Laid[] {
  const taken = new Set<string>()
  const out: Laid[] = []
  for (const n of nodes) {
    const p = PLACES[n.id]
    if (p) for (const row of [Math.floor(p[1]), Math.ceil(p[1])]) taken.add(`${p[0]},${row}`)
  }
  for (const n of nodes) {
    if (n.kind === 'registry') continue
    let p = PLACES[n.id]
    if (!p) {
      const column = COLUMN[n.kind] ?? 1
      let row = 0
      while (taken.has(`${column},${row}`)) row++
      taken.add(`${column},${row}`)
      p = [column, row]
    }
    out.push({ ...n, x: 10 + p[0] * NODE.dx, y: 16 + p[1] * NODE.dy })
  }
  return out
}

/** What flows from one part to another, over one or several topics. */
export interface Flow {
  from: string
  to: string
  topics: string[]
  edges: PipelineEdge[]
  rate: number
  lag: number
  lagMs: number
  trend: number
}

/** Brings the edges between the same parts together, the fastest topic first. */
export function flows(edges: readonly PipelineEdge[]): Flow[] {
  const by = new Map<string, PipelineEdge[]>()
  for (const e of edges) by.set(`${e.from} ${e.to}`, [...(by.get(`${e.from} ${e.to}`) ?? []), e])
  return [...by.values()].map((list) => {
    const sorted = list.toSorted((x, y) => y.rate - x.rate)
    const sum = (f: (e: PipelineEdge) => number) => list.reduce((n, e) => n + f(e), 0)
    return {
      from: list[0]?.from ?? '', to: list[0]?.to ?? '', topics: list.map((e) => e.topic).filter(Boolean), edges: sorted,
      rate: sum((e) => e.rate), lag: sum((e) => e.lag_records), lagMs: Math.max(...list.map((e) => e.lag_ms)), trend: sum((e) => e.trend),
    }
  })
}

/** The curve of a flow, and where its words stand: by its start, or by its end (`late`) where several start at one place. */
export function curve(a: Laid, b: Laid, late: boolean): { d: string; x: number; y: number; anchor: 'start' | 'end' } {
  const [x0, x1] = a.x < b.x ? [a.x + NODE.w, b.x - 5] : [a.x, b.x + NODE.w + 5]
  const [y0, y1] = [a.y + NODE.h / 2, b.y + NODE.h / 2]
  // Straight past the parts between: the words stand behind the first of them.
  if (Math.abs(y0 - y1) < 1) return { d: `M${x0} ${y0}L${x1} ${y1}`, x: x1 - x0 > NODE.dx ? x0 + NODE.dx + 10 : x0 + 10, y: y0, anchor: 'start' }
  // Level for a while, then over: the words have a straight piece to stand on.
  const reach = Math.min(Math.abs(x1 - x0), NODE.dx - NODE.w) * Math.sign(x1 - x0)
  const from = late ? x0 : x1 - reach
  const to = late ? x0 + reach * 0.35 : x1
  const d = late
    ? `M${x0} ${y0}C${x0 + reach * 0.2} ${y0} ${x0 + reach * 0.1} ${y1} ${to} ${y1}L${x1} ${y1}`
    : `M${x0} ${y0}L${from} ${y0}C${from + reach * 0.6} ${y0} ${to - reach * 0.5} ${y1} ${to} ${y1}`
  return { d, x: late ? x1 - 12 : x0 + 10, y: late ? y1 : y0, anchor: late ? 'end' : 'start' }
}

/** A topic's name without what they all begin with. */
export function brief(topic: string): string {
  return topic.replace(/^org\.chicago\.cta\./, '').replace(/^station\.(arrivals|turnstiles)\.\*$/, '$1.*')
}

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

/** Column and row of the parts we know; others go to free places of their kind's column. */
const PLACES: Readonly<Record<string, readonly [number, number]>> = {
  source: [0, 0], city: [0, 1.5], weather: [0, 3], registry: [1, 4],
  stations: [1, 0], forward: [1, 1], turnstiles: [1, 2], gateway: [1, 3],
  lines: [2, 1], board: [3, 1.5], viewers: [4, 1.5],
}
const COLUMN: Readonly<Record<string, number>> = { producer: 0, source: 0, gateway: 1, registry: 1, topic: 2, processor: 2, board: 3, viewers: 4 }

export interface Laid extends PipelineNode {
  x: number
  y: number
}

export const NODE = { w: 178, h: 74, dx: 330, dy: 104 }

/** Gives every node a place. */
export function lay(nodes: readonly PipelineNode[]): Laid[] {
  const taken = new Set<string>()
  const out: Laid[] = []
  for (const n of nodes) {
    const p = PLACES[n.id]
    if (p) for (const row of [Math.floor(p[1]), Math.ceil(p[1])]) taken.add(`${p[0]},${row}`)
  }
  for (const n of nodes) {
    let p = PLACES[n.id]
    if (!p) {
      const column = COLUMN[n.kind] ?? 2
      let row = 0
      while (taken.has(`${column},${row}`)) row++
      taken.add(`${column},${row}`)
      p = [column, row]
    }
    out.push({ ...n, x: 10 + p[0] * NODE.dx, y: 16 + p[1] * NODE.dy })
  }
  return out
}

/** The curve of an edge, and where its words stand: by its start, or by its end (`late`) where several start at one place. */
export function curve(a: Laid, b: Laid, late: boolean): { d: string; x: number; y: number; anchor: 'start' | 'end' } {
  if (Math.abs(a.x - b.x) < 1) {
    const [x, y0, y1] = [a.x + NODE.w / 2, a.y < b.y ? a.y + NODE.h : a.y, a.y < b.y ? b.y : b.y + NODE.h]
    return { d: `M${x} ${y0}L${x} ${y1}`, x: x + 8, y: (y0 + y1) / 2, anchor: 'start' }
  }
  const [x0, x1] = a.x < b.x ? [a.x + NODE.w, b.x - 5] : [a.x, b.x + NODE.w + 5]
  const [y0, y1] = [a.y + NODE.h / 2, b.y + NODE.h / 2]
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

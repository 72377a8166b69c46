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

export const NODE = { w: 170, h: 74, dx: 268, dy: 112 }

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

/** The curve of an edge, and the middle of it for its words. */
export function curve(a: Laid, b: Laid): { d: string; x: number; y: number } {
  if (Math.abs(a.x - b.x) < 1) {
    const [x, y0, y1] = [a.x + NODE.w / 2, a.y < b.y ? a.y + NODE.h : a.y, a.y < b.y ? b.y : b.y + NODE.h]
    return { d: `M${x} ${y0}L${x} ${y1}`, x: x + 8, y: (y0 + y1) / 2 }
  }
  const [x0, x1] = a.x < b.x ? [a.x + NODE.w, b.x] : [a.x, b.x + NODE.w]
  const [y0, y1] = [a.y + NODE.h / 2, b.y + NODE.h / 2]
  const c = (x1 - x0) * 0.5
  return { d: `M${x0} ${y0}C${x0 + c} ${y0} ${x1 - c} ${y1} ${x1} ${y1}`, x: (x0 + x1) / 2, y: (y0 + y1) / 2 }
}

/** A topic's name without what they all begin with. */
export function brief(topic: string): string {
  return topic.replace(/^org\.chicago\.cta\./, '').replace(/^station\.(arrivals|turnstiles)\.\*$/, '$1.*')
}

import { CORRIDORS, JUNCTIONS, PLACES, SLOTS, type Node } from '../schematic/drawing'

/** Edge is the track between two neighbouring nodes of a corridor. */
export interface Edge {
  a: Node
  b: Node
  lines: readonly string[]
  /** The schematic's points from a to b. */
  drawn: readonly (readonly [number, number])[]
}

/** Step is an edge as a train takes it. */
export interface Step {
  edge: Edge
  back: boolean
}

export const isJunction = (n: Node): boolean => n < 0

/** Graph is the drawing as nodes and edges, by line. */
export class Graph {
  readonly edges: Edge[] = []
  private readonly near = new Map<Node, Edge[]>()

  constructor() {
    for (const c of CORRIDORS) {
      let from: Node | undefined
      let points: (readonly [number, number])[] = []
      for (const p of c.path) {
        if (typeof p !== 'number') {
          points.push(p)
          continue
        }
        const at = place(p)
        if (from !== undefined) {
          const edge: Edge = { a: from, b: p, lines: c.lines, drawn: [...points, at] }
          this.edges.push(edge)
          this.touch(from, edge)
          this.touch(p, edge)
        }
        from = p
        points = [at]
      }
    }
  }

  private touch(node: Node, edge: Edge): void {
    const list = this.near.get(node)
    if (list) list.push(edge)
    else this.near.set(node, [edge])
  }

  at(node: Node): readonly Edge[] {
    return this.near.get(node) ?? []
  }

  /** The fewest edges of a line from one node to another; undefined where the drawing has none. */
  route(line: string, from: Node, to: Node): Step[] | undefined {
    const came = new Map<Node, Step | undefined>([[from, undefined]])
    let front = [from]
    while (front.length > 0 && !came.has(to)) {
      const next: Node[] = []
      for (const n of front) {
        for (const edge of this.at(n)) {
          const other = edge.a === n ? edge.b : edge.a
          if (!edge.lines.includes(line) || came.has(other)) continue
          came.set(other, { edge, back: edge.b === n })
          next.push(other)
        }
      }
      front = next
    }
    const steps: Step[] = []
    for (let n = to; n !== from; ) {
      const s = came.get(n)
      if (!s) return undefined
      steps.unshift(s)
      n = s.back ? s.edge.b : s.edge.a
    }
    return steps
  }

  /** The place of a line across an edge, + is right of the edge's own way. */
  slot(edge: Edge, line: string): number {
    const i = edge.lines.indexOf(line)
    return i < 0 ? 0 : i - (edge.lines.length - 1) / 2
  }

  /** The edge of a line with the most lines at a node; the first of equals. */
  widest(node: Node, line: string): Edge | undefined {
    return this.at(node).filter((e) => e.lines.includes(line)).reduce<Edge | undefined>((x, e) => (x && x.lines.length >= e.lines.length ? x : e), undefined)
  }

  /**
   * The place of a line across the track at a node, for a train on `edge` there:
   * that of the widest corridor of the line, so that lines stay side by side
   * through a station where one of them leaves.
   */
  slotAt(node: Node, line: string, edge: Edge): number {
    const widest = this.widest(node, line)
    if (!widest) return 0
    const slot = SLOTS[`${line}/${node}`] ?? this.slot(widest, line)
    if (widest === edge) return slot
    const [x, y] = heading(edge, node)
    const [u, v] = heading(widest, node)
    return slot * (x * u + y * v >= 0 ? 1 : -1)
  }
}

export function place(node: Node): readonly [number, number] {
  const p = PLACES[node]
  return p ? [p[0], p[1]] : [0, 0]
}

export function junction(node: Node): readonly [number, number] | undefined {
  return JUNCTIONS[node]
}

/** The direction of an edge (from a to b) where it touches a node, in the drawing. */
function heading(edge: Edge, node: Node): readonly [number, number] {
  const d = edge.drawn
  const [p, q] = edge.a === node ? [d[0], d[1]] : [d[d.length - 2], d[d.length - 1]]
  return p && q ? [q[0] - p[0], q[1] - p[1]] : [0, 1]
}

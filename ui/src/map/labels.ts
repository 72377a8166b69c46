import type { Side } from '../schematic/drawing'
import type { Point } from './tracks'

/** A name to be placed: where its marker is, how big that is, and the sides to try, best first. */
export interface Wish {
  id: number
  text: string
  x: number
  y: number
  /** Half the marker's extent, in pixels. */
  rx: number
  ry: number
  sides: readonly Side[]
  bold: boolean
}

export interface Placed {
  id: number
  text: string
  /** Where the text's baseline starts, and its turn in radians. */
  x: number
  y: number
  angle: number
  bold: boolean
  /** What it covers. */
  boxes: readonly Box[]
}

const SLANTED = 12
const COVERED = 3

type Box = readonly [x0: number, y0: number, x1: number, y1: number]

/**
 * Places names so that none covers another or a marker: in order of the wishes,
 * each on the free side where it covers the fewest `tracks`, which are points along
 * them, the first of them, or nowhere: a name across many tracks cannot be read. A
 * slanted name among level ones is a last resort.
 */
export function placeLabels(wishes: readonly Wish[], size: number, measure: (text: string, bold: boolean) => number, keep: (b: Box) => boolean, tracks: readonly Point[] = []): Placed[] {
  const grid = new Grid(48)
  const under = new Grid(48)
  for (const [x, y] of tracks) under.add([x, y, x, y])
  for (const w of wishes) grid.add([w.x - w.rx, w.y - w.ry, w.x + w.rx, w.y + w.ry])
  const out: Placed[] = []
  for (const w of wishes) {
    const width = measure(w.text, w.bold)
    const own: Box = [w.x - w.rx, w.y - w.ry, w.x + w.rx, w.y + w.ry]
    const free = w.sides.map((side) => put(w, side, width, size)).filter((p) => p.boxes.every((b) => keep(b) && !grid.hits(b, own)))
    let best: (typeof free)[number] | undefined
    let least = Infinity
    for (const p of free) {
      const cost = p.boxes.reduce((n, b) => n + under.count(b), p.angle !== 0 && w.sides[0] !== '/' ? SLANTED : 0)
      if (cost < least) [least, best] = [cost, p]
    }
    if (!best || (least > COVERED && !w.bold)) continue
    for (const b of best.boxes) grid.add(b)
    out.push({ id: w.id, text: w.text, x: best.x, y: best.y, angle: best.angle, bold: w.bold, boxes: best.boxes })
  }
  return out
}

function put(w: Wish, side: Side, width: number, size: number): { x: number; y: number; angle: number; boxes: Box[] } {
  const gap = size * 0.45
  const up = size * 0.74 // the height of letters above the baseline
  const pad = 1.5
  const flat = (x: number, y: number) => ({ x, y, angle: 0, boxes: [[x - pad, y - up, x + width + pad, y + size * 0.2] as Box] })
  switch (side) {
    case 'e':
      return flat(w.x + w.rx + gap, w.y + up / 2)
    case 'w':
      return flat(w.x - w.rx - gap - width, w.y + up / 2)
    case 'n':
      return flat(w.x - width / 2, w.y - w.ry - gap)
    case 's':
      return flat(w.x - width / 2, w.y + w.ry + gap + up)
    default: {
      const angle = side === '/' ? -Math.PI / 4 : Math.PI / 4
      const dir = side === '/' ? -1 : 1
      const x = w.x + size * 0.3
      const y = w.y + dir * (w.ry + gap * 0.8) + (dir > 0 ? up * 0.6 : 0)
      const boxes: Box[] = []
      const half = size * 0.42
      for (let d = half; d < width; d += size * 0.7) {
        const cx = x + Math.cos(angle) * d + (dir * up * 0.3)
        const cy = y + Math.sin(angle) * d - up * 0.3
        boxes.push([cx - half, cy - half, cx + half, cy + half])
      }
      return { x, y, angle, boxes }
    }
  }
}

/** Boxes by cells, so that a hundred names are placed in no time. */
class Grid {
  private readonly cells = new Map<string, Box[]>()
  constructor(private readonly size: number) {}

  add(b: Box): void {
    this.each(b, (key) => {
      const list = this.cells.get(key)
      if (list) list.push(b)
      else this.cells.set(key, [b])
      return false
    })
  }

  /** Whether a box meets another; `own` is the marker it belongs to. */
  hits(b: Box, own: Box): boolean {
    return this.each(b, (key) =>
      (this.cells.get(key) ?? []).some((o) => b[0] < o[2] && b[2] > o[0] && b[1] < o[3] && b[3] > o[1] && !o.every((v, i) => v === own[i])),
    )
  }

  /** How many boxes a box meets. */
  count(b: Box): number {
    const met = new Set<Box>()
    this.each(b, (key) => {
      for (const o of this.cells.get(key) ?? []) if (b[0] < o[2] && b[2] > o[0] && b[1] < o[3] && b[3] > o[1]) met.add(o)
      return false
    })
    return met.size
  }

  private each(b: Box, f: (key: string) => boolean): boolean {
    for (let x = Math.floor(b[0] / this.size); x <= Math.floor(b[2] / this.size); x++) {
      for (let y = Math.floor(b[1] / this.size); y <= Math.floor(b[3] / this.size); y++) if (f(`${x},${y}`)) return true
    }
    return false
  }
}

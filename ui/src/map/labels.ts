import type { Side } from '../schematic/drawing'

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
}

type Box = readonly [x0: number, y0: number, x1: number, y1: number]

/**
 * Places names so that none covers another or a marker: in order of the wishes,
 * each on the first of its sides that is free, or nowhere.
 */
export function placeLabels(wishes: readonly Wish[], size: number, measure: (text: string, bold: boolean) => number, keep: (b: Box) => boolean): Placed[] {
  const grid = new Grid(48)
  for (const w of wishes) grid.add([w.x - w.rx, w.y - w.ry, w.x + w.rx, w.y + w.ry])
  const out: Placed[] = []
  for (const w of wishes) {
    const width = measure(w.text, w.bold)
    for (const side of w.sides) {
      const { x, y, angle, boxes } = put(w, side, width, size)
      if (!boxes.every(keep) || boxes.some((b) => grid.hits(b, [w.x - w.rx, w.y - w.ry, w.x + w.rx, w.y + w.ry]))) continue
      for (const b of boxes) grid.add(b)
      out.push({ id: w.id, text: w.text, x, y, angle, bold: w.bold })
      break
    }
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

  private each(b: Box, f: (key: string) => boolean): boolean {
    for (let x = Math.floor(b[0] / this.size); x <= Math.floor(b[2] / this.size); x++) {
      for (let y = Math.floor(b[1] / this.size); y <= Math.floor(b[3] / this.size); y++) if (f(`${x},${y}`)) return true
    }
    return false
  }
}

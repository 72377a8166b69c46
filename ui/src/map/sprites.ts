import type { Palette } from './palette'
import { lineColor } from './palette'

/** What a train looks like: filled when known, hollow when its place is assumed, a square when out, a cross when broken. */
export type Look = 'known' | 'assumed' | 'out' | 'broken'

const ANGLES = 64
const PHASES = 4
const MOST = 6000

/**
 * Sprites stamps trains. Each kind of train is drawn once for each heading and each
 * quarter of a pixel that it is met at, so that stamping is a plain copy of pixels:
 * turning pictures is what costs most where there is no graphics hardware.
 */
export class Sprites {
  private readonly made = new Map<number, ImageBitmap>()
  private readonly kinds = new Map<string, number>()
  private key = ''
  private side = 0
  private sheet: OffscreenCanvas | undefined

  /** Stamps a train `size` pixels wide (its length is 1.75 times that) at x, y, heading `angle`. The transform of g is lost. */
  stamp(g: CanvasRenderingContext2D, p: Palette, line: string, look: Look, late: boolean, size: number, dpr: number, x: number, y: number, angle: number): void {
    const q = Math.round(size * 2) / 2
    const key = `${p.dark}/${q}/${dpr}`
    if (key !== this.key || this.made.size > MOST) {
      for (const image of this.made.values()) image.close()
      this.made.clear()
      this.key = key
      this.side = Math.ceil((q * 2.9 + 6) * dpr) + 1
      this.sheet = new OffscreenCanvas(this.side, this.side)
    }
    const name = `${line}/${look}/${late}`
    let kind = this.kinds.get(name)
    if (kind === undefined) this.kinds.set(name, (kind = this.kinds.size))
    const turn = ((Math.round((angle / (Math.PI * 2)) * ANGLES) % ANGLES) + ANGLES) % ANGLES
    const [left, top] = [Math.floor(x * dpr), Math.floor(y * dpr)]
    const [px, py] = [Math.floor((x * dpr - left) * PHASES), Math.floor((y * dpr - top) * PHASES)]
    const at = ((kind * ANGLES + turn) * PHASES + px) * PHASES + py
    let image = this.made.get(at)
    const half = this.side >> 1
    if (!image) {
      const c = this.sheet?.getContext('2d')
      if (!c || !this.sheet) return
      const [cos, sin] = [Math.cos((turn / ANGLES) * Math.PI * 2) * dpr, Math.sin((turn / ANGLES) * Math.PI * 2) * dpr]
      c.setTransform(cos, sin, -sin, cos, half + (px + 0.5) / PHASES, half + (py + 0.5) / PHASES)
      draw(c, p, line, look, late, q)
      image = this.sheet.transferToImageBitmap()
      this.made.set(at, image)
    }
    g.setTransform(1, 0, 0, 1, 0, 0)
    g.drawImage(image, left - half, top - half)
  }
}

type Drawing = OffscreenCanvasRenderingContext2D

function draw(g: Drawing, p: Palette, line: string, look: Look, late: boolean, w: number): void {
  const color = line === 'stale' ? p.stale : lineColor(p, line)
  const long = w * 1.75
  const edge = Math.max(1.25, w * 0.15)
  if (look === 'out') {
    g.beginPath()
    g.rect(-w * 0.42, -w * 0.42, w * 0.84, w * 0.84)
    outline(g, p.paper, color, edge)
    return
  }
  if (late) {
    // A second outline: late by five minutes or more.
    bullet(g, long + edge * 4.6, w + edge * 4.6)
    g.lineWidth = edge
    g.strokeStyle = p.ink
    g.stroke()
  }
  bullet(g, long, w)
  if (look === 'assumed') {
    outline(g, p.paper, color, edge * 1.3)
    return
  }
  outline(g, color, p.paper, edge)
  g.lineCap = 'round'
  g.lineJoin = 'round'
  g.strokeStyle = p.on[line] ?? '#fff'
  g.lineWidth = Math.max(1.1, w * 0.16)
  g.beginPath()
  if (look === 'broken') {
    const r = w * 0.22
    g.moveTo(-r, -r)
    g.lineTo(r, r)
    g.moveTo(-r, r)
    g.lineTo(r, -r)
  } else {
    // A chevron says which way it goes.
    g.moveTo(long * 0.02, -w * 0.22)
    g.lineTo(long * 0.2, 0)
    g.lineTo(long * 0.02, w * 0.22)
  }
  g.stroke()
}

function outline(g: Drawing, fill: string, stroke: string, width: number): void {
  g.fillStyle = fill
  g.strokeStyle = stroke
  g.lineWidth = width * 2
  g.stroke()
  g.fill()
}

/** A bullet heading east: round behind, pointed before. */
function bullet(g: Drawing, long: number, w: number): void {
  const x0 = -long / 2
  const x1 = long / 2
  const r = w * 0.28
  g.beginPath()
  g.moveTo(x0 + r, -w / 2)
  g.lineTo(x1 - w * 0.52, -w / 2)
  g.quadraticCurveTo(x1 - w * 0.16, -w / 2, x1, 0)
  g.quadraticCurveTo(x1 - w * 0.16, w / 2, x1 - w * 0.52, w / 2)
  g.lineTo(x0 + r, w / 2)
  g.quadraticCurveTo(x0, w / 2, x0, w / 2 - r)
  g.lineTo(x0, -w / 2 + r)
  g.quadraticCurveTo(x0, -w / 2, x0 + r, -w / 2)
  g.closePath()
}

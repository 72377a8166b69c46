import type { Palette } from './palette'
import { lineColor } from './palette'

/** What a train looks like: filled when known, hollow when its place is assumed, a square when out, a cross when broken. */
export type Look = 'known' | 'assumed' | 'out' | 'broken'

/** Sprites draws each kind of train once and stamps it from then on. */
export class Sprites {
  private readonly made = new Map<string, HTMLCanvasElement>()
  private key = ''

  /** A train heading east, `size` pixels wide (its length is 1.7 times that), on a square of `side` pixels. */
  get(p: Palette, line: string, look: Look, late: boolean, size: number, dpr: number): { image: HTMLCanvasElement; side: number } {
    const q = Math.round(size * 2) / 2
    const key = `${p.dark}/${q}/${dpr}`
    if (key !== this.key) {
      this.made.clear()
      this.key = key
    }
    const side = Math.ceil(q * 2.9 + 6)
    const name = `${line}/${look}/${late}`
    let image = this.made.get(name)
    if (!image) {
      image = document.createElement('canvas')
      image.width = image.height = Math.ceil(side * dpr)
      const g = image.getContext('2d')
      if (g) {
        g.scale(dpr, dpr)
        g.translate(side / 2, side / 2)
        draw(g, p, line, look, late, q)
      }
      this.made.set(name, image)
    }
    return { image, side }
  }
}

function draw(g: CanvasRenderingContext2D, p: Palette, line: string, look: Look, late: boolean, w: number): void {
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

function outline(g: CanvasRenderingContext2D, fill: string, stroke: string, width: number): void {
  g.fillStyle = fill
  g.strokeStyle = stroke
  g.lineWidth = width * 2
  g.stroke()
  g.fill()
}

/** A bullet heading east: round behind, pointed before. */
function bullet(g: CanvasRenderingContext2D, long: number, w: number): void {
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

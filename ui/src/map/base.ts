import { LAKE, RIVER } from '../schematic/drawing'
import { lineWidth, type Camera } from './camera'
import { placeLabels, type Placed, type Wish } from './labels'
import { lineColor, type Palette } from './palette'
import type { Scene, Spot } from './scene'
import type { Leg, Point } from './tracks'
import { RIVERS, SHORE } from './water'

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif'

/** View is all that decides where things are on the screen. m is 0 for the true map and 1 for the schematic. */
export interface View {
  camera: Camera
  m: number
  w: number
  h: number
  palette: Palette
}

export const mix = (a: number, b: number, t: number): number => a + (b - a) * t

export function toScreen(v: View, g: Point, s: Point): Point {
  const { camera: c, m } = v
  return [(mix(g[0], s[0], m) - c.x) * c.k + v.w / 2, (mix(g[1], s[1], m) - c.y) * c.k + v.h / 2]
}

/** Lines side by side are this many pixels apart. */
export const gap = (k: number): number => lineWidth(k) * 1.14

/** Draws all that stands still: water, tracks, stations and their names. */
export function drawBase(g: CanvasRenderingContext2D, scene: Scene, v: View, bright: ReadonlySet<string> | undefined): Placed[] {
  const { palette: p, camera: c } = v
  g.fillStyle = p.land
  g.fillRect(0, 0, v.w, v.h)
  water(g, scene, v)
  const lw = lineWidth(c.k)
  g.lineJoin = 'round'
  g.lineCap = 'round'
  const seen = scene.legs.filter((l) => onScreen(v, l.leg))
  g.strokeStyle = p.land
  g.lineWidth = lw + Math.max(2, lw * 0.5)
  for (const l of seen) stroke(g, v, l.leg)
  for (const l of seen) {
    g.globalAlpha = !bright || bright.has(l.line) ? 1 : 0.18
    g.strokeStyle = lineColor(p, l.line)
    g.lineWidth = lw
    stroke(g, v, l.leg)
  }
  g.globalAlpha = 1
  for (const s of scene.spots) marker(g, v, s, lw, bright)
  return v.m === 0 || v.m === 1 ? names(g, scene, v, lw, bright) : []
}

function stroke(g: CanvasRenderingContext2D, v: View, l: Leg): void {
  const { camera: c, m } = v
  const o = gap(c.k)
  g.beginPath()
  for (let i = 0; i < l.n; i++) {
    const x = (mix(l.gx[i] ?? 0, l.sx[i] ?? 0, m) - c.x) * c.k + v.w / 2 + mix(l.gox[i] ?? 0, l.sox[i] ?? 0, m) * o
    const y = (mix(l.gy[i] ?? 0, l.sy[i] ?? 0, m) - c.y) * c.k + v.h / 2 + mix(l.goy[i] ?? 0, l.soy[i] ?? 0, m) * o
    if (i === 0) g.moveTo(x, y)
    else g.lineTo(x, y)
  }
  g.stroke()
}

function onScreen(v: View, l: Leg): boolean {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity]
  for (let i = 0; i < l.n; i++) {
    const [x, y] = toScreen(v, [l.gx[i] ?? 0, l.gy[i] ?? 0], [l.sx[i] ?? 0, l.sy[i] ?? 0])
    x0 = Math.min(x0, x)
    x1 = Math.max(x1, x)
    y0 = Math.min(y0, y)
    y1 = Math.max(y1, y)
  }
  return x1 > -60 && y1 > -60 && x0 < v.w + 60 && y0 < v.h + 60
}

function water(g: CanvasRenderingContext2D, scene: Scene, v: View): void {
  const { camera: c, palette: p } = v
  const layer = (alpha: number, shore: readonly Point[], rivers: readonly (readonly Point[])[], width: number, smooth: boolean) => {
    if (alpha <= 0) return
    g.globalAlpha = alpha
    g.fillStyle = p.water
    g.strokeStyle = p.water
    g.lineJoin = 'round'
    g.lineCap = 'round'
    const path = (pts: readonly Point[], r: number) => {
      g.beginPath()
      for (const [i, q] of pts.entries()) {
        const [x, y] = toScreen(v, q, q)
        const next = pts[i + 1]
        if (i === 0) g.moveTo(x, y)
        else if (!smooth || !next) g.lineTo(x, y)
        else g.arcTo(x, y, ...toScreen(v, next, next), r)
      }
    }
    path(shore, c.k * 1.6)
    g.closePath()
    g.fill()
    g.lineWidth = Math.max(2.2, width * c.k)
    for (const r of rivers) {
      path(r, c.k)
      g.stroke()
    }
    g.globalAlpha = 1
  }
  const ground = (pts: readonly Point[]) => pts.map((q) => scene.tracks.ground2(q))
  layer(1 - v.m, ground(SHORE), RIVERS.map(ground), 0.11, false)
  layer(v.m, LAKE, RIVER, 0.42, true)
  if (v.m === 0 || v.m === 1) {
    const size = Math.max(12, Math.min(26, c.k * 1.05))
    g.font = `italic 400 ${size}px Georgia, "Liberation Serif", "DejaVu Serif", serif`
    g.fillStyle = p.waterText
    g.textAlign = 'center'
    spaced(g, '2px')
    const at: Point = v.m === 1 ? [14.4, -17] : scene.tracks.ground2([41.96, -87.53])
    const [x, y] = toScreen(v, at, at)
    g.fillText('Lake', x, y - size * 0.6)
    g.fillText('Michigan', x, y + size * 0.6)
    spaced(g, '0px')
    g.textAlign = 'left'
  }
}

function spaced(g: CanvasRenderingContext2D, px: string): void {
  if ('letterSpacing' in g) g.letterSpacing = px
}

/** Points along the tracks on the screen, close enough together that no name fits between them. */
function onTracks(scene: Scene, v: View, lw: number): Point[] {
  const { camera: c, m } = v
  const o = gap(c.k)
  const out: Point[] = []
  for (const { leg: l } of scene.legs) {
    let [x0, y0] = [NaN, NaN]
    for (let i = 0; i < l.n; i++) {
      const x = (mix(l.gx[i] ?? 0, l.sx[i] ?? 0, m) - c.x) * c.k + v.w / 2 + mix(l.gox[i] ?? 0, l.sox[i] ?? 0, m) * o
      const y = (mix(l.gy[i] ?? 0, l.sy[i] ?? 0, m) - c.y) * c.k + v.h / 2 + mix(l.goy[i] ?? 0, l.soy[i] ?? 0, m) * o
      const steps = i === 0 ? 1 : Math.min(400, Math.ceil(Math.hypot(x - x0, y - y0) / 7))
      for (let s = 1; s <= steps; s++) {
        const t = s / steps
        const p: Point = i === 0 ? [x, y] : [mix(x0, x, t), mix(y0, y, t)]
        if (p[0] > -lw && p[1] > -lw && p[0] < v.w + lw && p[1] < v.h + lw) out.push(p)
      }
      ;[x0, y0] = [x, y]
    }
  }
  return out
}

/** A station's marker: ends in pixels, and its radius. */
export function markerAt(v: View, s: Spot, lw: number): { a: Point; b: Point; r: number } {
  const [x, y] = toScreen(v, s.g, s.s)
  const o = gap(v.camera.k)
  const end = (g: Point, q: Point): Point => [x + mix(g[0], q[0], v.m) * o, y + mix(g[1], q[1], v.m) * o]
  return { a: end(s.gFrom, s.sFrom), b: end(s.gTo, s.sTo), r: s.change || s.end ? lw * 0.62 : lw * 0.44 }
}

function marker(g: CanvasRenderingContext2D, v: View, s: Spot, lw: number, bright: ReadonlySet<string> | undefined): void {
  const { a, b, r } = markerAt(v, s, lw)
  if (a[0] < -40 || a[1] < -40 || a[0] > v.w + 40 || a[1] > v.h + 40) return
  if (bright && !s.lines.some((l) => bright.has(l))) return
  g.lineCap = 'round'
  const line = (width: number, color: string) => {
    g.beginPath()
    g.moveTo(a[0], a[1])
    g.lineTo(b[0] + 0.01, b[1])
    g.lineWidth = width
    g.strokeStyle = color
    g.stroke()
  }
  if (s.change || s.end) line(r * 2 + Math.max(1.6, lw * 0.42), v.palette.ink)
  line(r * 2, v.palette.dark && !(s.change || s.end) ? v.palette.land : v.palette.paper)
}

function names(g: CanvasRenderingContext2D, scene: Scene, v: View, lw: number, bright: ReadonlySet<string> | undefined): Placed[] {
  const { camera: c, palette: p } = v
  const size = Math.max(9.5, Math.min(15, 8.6 + c.k * 0.21))
  const font = (bold: boolean) => `${bold ? 650 : 450} ${size}px ${FONT}`
  const measure = (text: string, bold: boolean) => {
    g.font = font(bold)
    return g.measureText(text).width
  }
  const wishes: Wish[] = []
  for (const s of scene.spots) {
    if (bright && !s.lines.some((l) => bright.has(l))) continue
    const { a, b, r } = markerAt(v, s, lw)
    const x = (a[0] + b[0]) / 2
    const y = (a[1] + b[1]) / 2
    if (x < -20 || y < -20 || x > v.w + 20 || y > v.h + 20) continue
    const edge = r + lw * 0.3
    wishes.push({
      id: s.id, text: short(s.name), x, y,
      rx: Math.abs(a[0] - b[0]) / 2 + edge, ry: Math.abs(a[1] - b[1]) / 2 + edge,
      sides: v.m === 1 ? drawnSides(s.side, c.k) : s.level ? ['n', 's', 'e', 'w'] : ['e', 'w', 'n', 's'], bold: s.end || s.lines.length > 2,
    })
  }
  const placed = placeLabels(wishes, size, measure, (b) => b[0] > 2 && b[1] > 2 && b[2] < v.w - 2 && b[3] < v.h - 2, onTracks(scene, v, lw))
  g.textAlign = 'left'
  g.lineJoin = 'round'
  for (const l of placed) {
    g.save()
    g.translate(l.x, l.y)
    g.rotate(l.angle)
    g.font = font(l.bold)
    g.lineWidth = 3
    g.strokeStyle = p.land
    g.globalAlpha = 0.85
    g.strokeText(l.text, 0, 0)
    g.globalAlpha = 1
    g.fillStyle = p.ink
    g.fillText(l.text, 0, 0)
    g.restore()
  }
  return placed
}

/** The side the drawing says, and where that is taken, what else looks right. */
function drawnSides(side: Wish['sides'][number], k: number): Wish['sides'] {
  switch (side) {
    case '/':
      return ['/']
    case 'n':
      return k > 26 ? ['n', 's'] : ['n', 's', '/']
    case 's':
      return ['s', 'n']
    case 'e':
      return ['e', 'w']
    default:
      return ['w', 'e']
  }
}

const SHORT: Readonly<Record<string, string>> = {
  'Harold Washington Library-State/Van Buren': 'Harold Washington Library',
  '35th-Bronzeville-IIT': '35th–Bronzeville–IIT',
}

export function short(name: string): string {
  return SHORT[name] ?? name
}

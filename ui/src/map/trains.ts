import { IN_SERVICE } from '../city/fold'
import type { Live } from '../city/live.svelte'
import type { Motion } from '../city/motion'
import { gap, mix, type View } from './base'
import { lineWidth } from './camera'
import type { Scene } from './scene'
import { Sprites, type Look } from './sprites'
import type { Leg } from './tracks'

/** Seconds behind schedule from which a train is marked as late. */
export const LATE_S = 300

/** Where a train was drawn, for the pointer to find it. */
export interface Drawn {
  id: string
  x: number
  y: number
  angle: number
}

/** Width of a train in pixels: wider than its track, and never too small to see. */
const trainWidth = (k: number): number => Math.max(4.8, lineWidth(k) * 1.6)

/** Draws the trains and remembers where. */
export class TrainLayer {
  readonly drawn: Drawn[] = []
  private readonly sprites = new Sprites()
  private count = 0
  private still = false // nothing fades in for those who want no motion: no frames may follow

  constructor(
    private readonly scene: Scene,
    private readonly live: Live,
  ) {}

  draw(g: CanvasRenderingContext2D, v: View, dpr: number, wall: number, o: { stale: boolean; bright: ReadonlySet<string> | undefined; picked: string; still: boolean; ids: boolean; extra: number }): void {
    g.setTransform(dpr, 0, 0, dpr, 0, 0)
    g.clearRect(0, 0, v.w, v.h)
    this.count = 0
    this.still = o.still
    const size = trainWidth(v.camera.k)
    for (const m of this.live.motions.values()) {
      const line = m.way.pattern.line
      const dim = o.bright !== undefined && !o.bright.has(line)
      this.one(g, v, dpr, wall, m, m.s, size, o.stale ? 'stale' : line, dim, o.picked === m.train.id)
      // The stress mode draws each train several times, spread over its way.
      for (let i = 1; i <= o.extra; i++) this.one(g, v, dpr, wall, m, m.s + (m.way.length * i) / (o.extra + 1), size, line, false, false)
    }
    this.drawn.length = this.count
    if (o.ids) this.names(g, v, dpr, size)
  }

  /** Where a train is on the screen, or off it. */
  where(id: string, v: View): { x: number; y: number; angle: number } | undefined {
    const m = this.live.motions.get(id)
    return m && this.place(m, m.s, v, trainWidth(v.camera.k))
  }

  private place(m: Motion, s: number, v: View, size: number): { x: number; y: number; angle: number } | undefined {
    const at = m.way.leg(s)
    // At a turn-back the train already heads the way it will leave.
    const calls = m.way.pattern.calls
    const call = calls[at.call]?.turn ? (at.call + 1) % calls.length : at.call
    const leg = this.scene.tracks.leg(m.way.pattern, call)
    if (!leg) return undefined
    const p = locate(leg, call === at.call ? at.part : 0, v)
    // Trains keep right, so that those of the two directions pass side by side.
    const side = size * 0.47
    return { x: p.x - Math.sin(p.angle) * side, y: p.y + Math.cos(p.angle) * side, angle: p.angle }
  }

  private one(g: CanvasRenderingContext2D, v: View, dpr: number, wall: number, m: Motion, s: number, size: number, line: string, dim: boolean, picked: boolean): void {
    const place = this.place(m, s, v, size)
    if (!place) return
    const { x, y } = place
    if (x < -30 || y < -30 || x > v.w + 30 || y > v.h + 30) return
    const fresh = this.still ? 1 : Math.min(1, (wall - m.placed) / 500)
    g.globalAlpha = dim ? 0.15 : Math.max(0.05, fresh)
    if (picked) {
      g.setTransform(dpr, 0, 0, dpr, 0, 0)
      g.beginPath()
      g.arc(x, y, size * 1.5, 0, Math.PI * 2)
      g.lineWidth = 2
      g.strokeStyle = v.palette.ink
      g.stroke()
    }
    this.sprites.stamp(g, v.palette, line, look(m), m.train.delay >= LATE_S && m.train.status === IN_SERVICE, size, dpr, x, y, place.angle)
    g.globalAlpha = 1
    const d = this.drawn[this.count]
    if (d) {
      d.id = m.train.id
      d.x = x
      d.y = y
      d.angle = place.angle
    } else this.drawn.push({ id: m.train.id, x, y, angle: place.angle })
    this.count++
  }

  private names(g: CanvasRenderingContext2D, v: View, dpr: number, size: number): void {
    g.setTransform(dpr, 0, 0, dpr, 0, 0)
    g.font = '600 10px system-ui, "Liberation Sans", Arial, sans-serif'
    g.textAlign = 'center'
    g.lineWidth = 3
    g.lineJoin = 'round'
    for (const d of this.drawn) {
      const x = d.x - Math.sin(d.angle) * size * 1.6
      const y = d.y + Math.cos(d.angle) * size * 1.6 + 3.5
      g.strokeStyle = v.palette.land
      g.strokeText(d.id, x, y)
      g.fillStyle = v.palette.dim
      g.fillText(d.id, x, y)
    }
    g.textAlign = 'left'
  }
}

function look(m: Motion): Look {
  switch (m.sight) {
    case 'broken':
      return 'broken'
    case 'out':
      return 'out'
    case 'overdue':
      return 'assumed'
    default:
      return 'known'
  }
}

/** The place and heading on a leg, on the screen. */
export function locate(leg: Leg, part: number, v: View): { x: number; y: number; angle: number } {
  const n = leg.n
  const metres = part * (leg.at[n - 1] ?? 0)
  let lo = 0
  let hi = Math.max(0, n - 2)
  while (lo < hi) {
    const mid = (lo + hi + 1) >> 1
    if ((leg.at[mid] ?? 0) <= metres) lo = mid
    else hi = mid - 1
  }
  const next = Math.min(n - 1, lo + 1)
  const a = leg.at[lo] ?? 0
  const b = leg.at[next] ?? a
  const t = b > a ? (metres - a) / (b - a) : 0
  const x0 = px(leg, lo, v)
  const y0 = py(leg, lo, v)
  const x1 = px(leg, next, v)
  const y1 = py(leg, next, v)
  return { x: mix(x0, x1, t), y: mix(y0, y1, t), angle: Math.atan2(y1 - y0, x1 - x0) }
}

function px(l: Leg, i: number, v: View): number {
  return (mix(l.gx[i] ?? 0, l.sx[i] ?? 0, v.m) - v.camera.x) * v.camera.k + v.w / 2 + mix(l.gox[i] ?? 0, l.sox[i] ?? 0, v.m) * gap(v.camera.k)
}

function py(l: Leg, i: number, v: View): number {
  return (mix(l.gy[i] ?? 0, l.sy[i] ?? 0, v.m) - v.camera.y) * v.camera.k + v.h / 2 + mix(l.goy[i] ?? 0, l.soy[i] ?? 0, v.m) * gap(v.camera.k)
}

import type { Frames } from '../city/frames'
import type { Live } from '../city/live.svelte'
import { BOUNDS } from '../schematic/drawing'
import { drawBase, markerAt, mix, type View } from './base'
import { clampCamera, fit, lineWidth, zoomAt, type Camera } from './camera'
import { DARK, LIGHT, type Palette } from './palette'
import { Scene } from './scene'
import { TrainLayer } from './trains'
import type { Placed } from './labels'
import type { Point } from './tracks'

export type Projection = 'schematic' | 'geographic'
export interface Pick {
  kind: 'train' | 'station'
  id: string
  x: number
  y: number
}

/** What the map is told from outside. */
export interface Wanted {
  projection: Projection
  dark: boolean
  stale: boolean
  bright: ReadonlySet<string> | undefined
  picked: string // train id
  follow: boolean
  copies: number // of each train, in the stress mode
}

/** MapView draws the map on two canvases and answers pointer and keys. It knows no framework. */
export class MapView {
  readonly scene: Scene
  camera: Camera
  private m: number
  private w = 1
  private h = 1
  private dpr = 1
  private dirty = true
  /** The names on the map, for the tests. */
  names: readonly Placed[] = []
  private readonly layer: TrainLayer
  private readonly g: CanvasRenderingContext2D
  private readonly tg: CanvasRenderingContext2D
  private readonly remove: () => void
  private readonly pointers = new Map<number, Point>()
  private dragged = 0
  private glide: { from: Camera; to: Camera; m0: number; m1: number; t0: number; ms: number } | undefined
  private palette: Palette = LIGHT
  /** True once the viewer has moved the map. */
  private own = false

  /** Whether the viewer chose what part of the map is seen. */
  get moved(): boolean {
    return this.own
  }
  private readonly abort = new AbortController()

  onCamera: (c: Camera) => void = () => {}
  onPick: (p: Pick | undefined, firm: boolean) => void = () => {}
  onUnfollow: () => void = () => {}

  constructor(
    private readonly base: HTMLCanvasElement,
    private readonly top: HTMLCanvasElement,
    private readonly frames: Frames,
    live: Live,
    private wanted: Wanted,
    camera: Camera | undefined,
  ) {
    this.scene = new Scene(live.net)
    this.layer = new TrainLayer(this.scene, live)
    const g = base.getContext('2d', { alpha: false })
    const tg = top.getContext('2d')
    if (!g || !tg) throw new Error('this browser has no canvas')
    this.g = g
    this.tg = tg
    this.m = wanted.projection === 'schematic' ? 1 : 0
    this.camera = camera ?? { x: 0, y: 0, k: 10 }
    this.own = camera !== undefined
    this.palette = wanted.dark ? DARK : LIGHT
    this.resize()
    const watch = new ResizeObserver(() => this.resize())
    watch.observe(top)
    this.abort.signal.addEventListener('abort', () => watch.disconnect())
    this.listen()
    this.remove = frames.add((_, wall) => this.paint(wall))
  }

  destroy(): void {
    this.abort.abort()
    this.remove()
  }

  /** The place of a train or station on the screen. */
  find(kind: 'train' | 'station', id: string): Point | undefined {
    if (kind === 'train') {
      const d = this.layer.where(id, this.view())
      return d && [d.x, d.y]
    }
    const s = this.scene.byId.get(Number(id))
    if (!s) return undefined
    const { a, b } = markerAt(this.view(), s, lineWidth(this.camera.k))
    return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]
  }

  /** How many trains were drawn with the last frame, and where; for the tests. */
  get drawn(): readonly { id: string; x: number; y: number }[] {
    return this.layer.drawn
  }

  want(w: Wanted): void {
    const turn = w.projection !== this.wanted.projection
    this.wanted = w
    this.palette = w.dark ? DARK : LIGHT
    this.dirty = true
    if (turn) this.turn(w.projection)
    this.frames.kick()
  }

  /** Shows the whole map. */
  home(animate = true): void {
    this.own = false
    this.go(this.whole(this.m > 0.5 ? 1 : 0), animate)
    this.onCamera(this.camera)
  }

  zoom(factor: number, at: Point = [this.w / 2, this.h / 2], animate = true): void {
    this.own = true
    const from = this.glide && this.glide.m0 === this.glide.m1 ? this.glide.to : this.camera
    this.go(zoomAt(from, this.w, this.h, at, factor), animate)
  }

  pan(dx: number, dy: number, animate = false): void {
    this.own = true
    const from = this.glide?.to ?? this.camera
    this.go(clampCamera({ x: from.x + dx / this.camera.k, y: from.y + dy / this.camera.k, k: from.k }), animate)
    this.onUnfollow()
  }

  /** Brings a station or train to the middle. */
  show(kind: 'train' | 'station', id: string): void {
    const p = this.find(kind, id)
    if (!p) return
    this.own = true
    const k = Math.max(this.camera.k, 34)
    this.go(clampCamera({ x: this.camera.x + (p[0] - this.w / 2) / this.camera.k, y: this.camera.y + (p[1] - this.h / 2) / this.camera.k, k }), true)
  }

  private whole(m: number): Camera {
    // On a narrow map the controls at its top cover what would be there.
    const top = this.w < 700 ? 50 : 0
    const inset = (c: Camera): Camera => ({ ...c, y: c.y - top / 2 / c.k })
    if (m === 1) return inset(fit(BOUNDS, this.w, this.h - top, Math.min(14, this.w * 0.02)))
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity]
    for (const s of this.scene.spots) {
      x0 = Math.min(x0, s.g[0])
      x1 = Math.max(x1, s.g[0])
      y0 = Math.min(y0, s.g[1])
      y1 = Math.max(y1, s.g[1])
    }
    return inset(fit([x0 - 3, y0 - 2, x1 + 7, y1 + 2], this.w, this.h - top))
  }

  /** Turns to the other projection, keeping what is in the middle there. */
  private turn(to: Projection): void {
    const m1 = to === 'schematic' ? 1 : 0
    let target = this.whole(m1)
    if (this.own && this.camera.k > target.k * 1.4) {
      const s = this.middle()
      if (s) target = { x: m1 ? s.s[0] : s.g[0], y: m1 ? s.s[1] : s.g[1], k: m1 ? this.camera.k * 0.7 : this.camera.k * 1.45 }
    }
    this.glide = { from: { ...this.camera }, to: clampCamera(target), m0: this.m, m1, t0: performance.now(), ms: this.frames.reduced ? 0 : 900 }
  }

  /** The station nearest to the middle. */
  private middle() {
    let best: (typeof this.scene.spots)[number] | undefined
    let far = Infinity
    for (const s of this.scene.spots) {
      const d = Math.hypot(mix(s.g[0], s.s[0], this.m) - this.camera.x, mix(s.g[1], s.s[1], this.m) - this.camera.y)
      if (d < far) [far, best] = [d, s]
    }
    return best
  }

  private go(to: Camera, animate: boolean): void {
    if (animate && !this.frames.reduced) {
      this.glide = { from: { ...this.camera }, to, m0: this.m, m1: this.glide?.m1 ?? this.m, t0: performance.now(), ms: 260 }
    } else {
      if (this.glide) this.m = this.glide.m1
      this.glide = undefined
      this.camera = to
      this.onCamera(to)
    }
    this.dirty = true
    this.frames.kick()
  }

  private view(): View {
    return { camera: this.camera, m: this.m, w: this.w, h: this.h, palette: this.palette }
  }

  private resize(): void {
    const r = this.top.getBoundingClientRect()
    this.w = Math.max(1, r.width)
    this.h = Math.max(1, r.height)
    this.dpr = Math.min(3, devicePixelRatio || 1)
    for (const c of [this.base, this.top]) {
      c.width = Math.round(this.w * this.dpr)
      c.height = Math.round(this.h * this.dpr)
    }
    if (!this.own) this.camera = this.whole(this.m > 0.5 ? 1 : 0)
    this.dirty = true
    this.frames.kick()
  }

  private paint(wall: number): void {
    const gl = this.glide
    if (gl) {
      const x = gl.ms > 0 ? Math.min(1, (wall - gl.t0) / gl.ms) : 1
      const t = x < 0 ? 0 : x < 0.5 ? 4 * x * x * x : 1 - (2 - 2 * x) ** 3 / 2
      this.m = mix(gl.m0, gl.m1, t)
      this.camera = { x: mix(gl.from.x, gl.to.x, t), y: mix(gl.from.y, gl.to.y, t), k: gl.from.k * (gl.to.k / gl.from.k) ** t }
      this.dirty = true
      if (x >= 1) {
        this.glide = undefined
        this.m = gl.m1
        this.camera = gl.to
        this.onCamera(this.camera)
      } else this.frames.kick()
    }
    if (this.wanted.follow && this.wanted.picked && !gl) this.chase()
    const v = this.view()
    if (this.dirty) {
      this.dirty = false
      this.g.setTransform(this.dpr, 0, 0, this.dpr, 0, 0)
      this.names = drawBase(this.g, this.scene, v, this.wanted.bright)
    }
    const { stale, bright, picked, copies } = this.wanted
    this.layer.draw(this.tg, v, this.dpr, wall, { stale, bright, picked, still: this.frames.reduced, ids: this.camera.k > 90, extra: copies - 1 })
  }

  /** Keeps the followed train in the middle, softly. */
  private chase(): void {
    const p = this.find('train', this.wanted.picked)
    if (!p) return
    const [dx, dy] = [p[0] - this.w / 2, p[1] - this.h / 2]
    if (Math.hypot(dx, dy) < 0.5) return
    const far = Math.abs(dx) > this.w || Math.abs(dy) > this.h
    const f = this.frames.reduced || far ? 1 : 0.12
    this.camera = { ...this.camera, x: this.camera.x + (dx * f) / this.camera.k, y: this.camera.y + (dy * f) / this.camera.k }
    this.own = true
    this.dirty = true
  }

  /** What is under the pointer: a train before a station. */
  private hit(at: Point, reach: number): Pick | undefined {
    let best: Pick | undefined
    let far = reach
    for (const d of this.layer.drawn) {
      const r = Math.hypot(d.x - at[0], d.y - at[1])
      if (r < far) [far, best] = [r, { kind: 'train', id: d.id, x: d.x, y: d.y }]
    }
    if (best) return best
    const v = this.view()
    const lw = lineWidth(this.camera.k)
    for (const s of this.scene.spots) {
      const { a, b, r } = markerAt(v, s, lw)
      const d = toSegment(at, a, b) - r
      if (d < far) [far, best] = [d, { kind: 'station', id: String(s.id), x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 }]
    }
    return best
  }

  private where(e: PointerEvent | WheelEvent | MouseEvent): Point {
    const r = this.top.getBoundingClientRect()
    return [e.clientX - r.left, e.clientY - r.top]
  }

  private listen(): void {
    const on = <K extends keyof HTMLElementEventMap>(type: K, f: (e: HTMLElementEventMap[K]) => void, o: AddEventListenerOptions = {}) =>
      this.top.addEventListener(type, f, { ...o, signal: this.abort.signal })
    on('pointerdown', (e) => {
      this.top.setPointerCapture(e.pointerId)
      this.pointers.set(e.pointerId, this.where(e))
      this.dragged = 0
    })
    on('pointermove', (e) => this.move(e))
    const end = (e: PointerEvent) => {
      if (!this.pointers.delete(e.pointerId)) return
      if (this.dragged < 6 && e.type === 'pointerup' && this.pointers.size === 0) this.onPick(this.hit(this.where(e), e.pointerType === 'touch' ? 24 : 13), true)
      else this.onCamera(this.camera)
    }
    on('pointerup', end)
    on('pointercancel', end)
    on('pointerleave', () => this.onPick(undefined, false))
    on('wheel', (e) => {
      e.preventDefault()
      const step = e.deltaMode === 1 ? e.deltaY * 16 : e.deltaY
      this.own = true
      this.glide = undefined
      this.camera = zoomAt(this.camera, this.w, this.h, this.where(e), Math.exp(-step * (e.ctrlKey ? 0.01 : 0.0016)))
      this.dirty = true
      this.onCamera(this.camera)
      this.frames.kick()
    }, { passive: false })
    on('dblclick', (e) => this.zoom(e.shiftKey ? 0.5 : 2, this.where(e)))
  }

  private move(e: PointerEvent): void {
    const at = this.where(e)
    const before = this.pointers.get(e.pointerId)
    if (!before) {
      const p = this.hit(at, 12)
      this.top.style.cursor = p ? 'pointer' : 'grab'
      this.onPick(p, false)
      return
    }
    this.dragged += Math.hypot(at[0] - before[0], at[1] - before[1])
    const other = [...this.pointers].find(([id]) => id !== e.pointerId)?.[1]
    this.pointers.set(e.pointerId, at)
    if (this.dragged < 4) return
    this.own = true
    if (this.glide) this.m = this.glide.m1
    this.glide = undefined
    this.onUnfollow()
    if (other) {
      const d0 = Math.hypot(before[0] - other[0], before[1] - other[1])
      const d1 = Math.hypot(at[0] - other[0], at[1] - other[1])
      const mid: Point = [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]
      this.camera = zoomAt(this.camera, this.w, this.h, mid, d0 > 0 ? d1 / d0 : 1)
      this.camera.x -= (at[0] - before[0]) / 2 / this.camera.k
      this.camera.y -= (at[1] - before[1]) / 2 / this.camera.k
    } else {
      this.camera = clampCamera({ x: this.camera.x - (at[0] - before[0]) / this.camera.k, y: this.camera.y - (at[1] - before[1]) / this.camera.k, k: this.camera.k })
    }
    this.dirty = true
    this.frames.kick()
  }
}

function toSegment(p: Point, a: Point, b: Point): number {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]]
  const t = Math.max(0, Math.min(1, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy || 1)))
  return Math.hypot(a[0] + dx * t - p[0], a[1] + dy * t - p[1])
}

import type { Live } from './live.svelte'

export type Painter = (city: number, wall: number) => void

/**
 * Frames is the one animation loop of the page. While somebody watches it moves
 * the trains and lets every canvas paint once a frame; in a hidden tab there are
 * no frames at all. For viewers who want no motion it paints on news alone, and
 * trains are shown where they were last seen.
 */
export class Frames {
  private readonly painters = new Set<Painter>()
  private request = 0
  private last = 0
  reduced = false
  /** Lengths of the last frames in ms, for the measure. */
  readonly lengths: number[] = []
  private at = 0

  constructor(private readonly live: Live) {
    const query = matchMedia('(prefers-reduced-motion: reduce)')
    this.reduced = query.matches
    query.addEventListener('change', (e) => {
      this.reduced = e.matches
      this.kick()
    })
    document.addEventListener('visibilitychange', () => {
      cancelAnimationFrame(this.request)
      this.request = 0
      if (!document.hidden) this.kick()
      else this.live.latency.forget()
    })
    live.onNews = () => this.kick()
    this.kick()
  }

  /** Adds a painter; the answer removes it. */
  add(p: Painter): () => void {
    this.painters.add(p)
    this.kick()
    return () => this.painters.delete(p)
  }

  /** Something is to be painted soon. */
  kick(): void {
    if (this.request === 0 && !document.hidden) this.request = requestAnimationFrame(this.frame)
  }

  private readonly frame = (t: number): void => {
    this.request = 0
    if (!this.reduced) this.kick()
    const dt = Math.max(0, t - this.last)
    if (this.last > 0 && dt < 1000) {
      this.lengths[this.at] = dt
      this.at = (this.at + 1) % 600
    }
    const city = this.live.cityNow()
    if (this.reduced) this.live.stand()
    else if (this.last > 0) this.live.step(city, Math.min(dt, 1000) / 1000)
    this.last = t
    for (const p of this.painters) p(city, t)
    this.live.latency.drawn(performance.timeOrigin + performance.now())
  }
}

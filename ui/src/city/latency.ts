/**
 * Latency measures from the append of a record to the log until the frame that
 * shows it, for this viewer: the last thousand arrivals.
 */
export class Latency {
  /** Server clock less viewer's clock, ms. */
  offset: number | undefined
  private waiting: number[] = []
  private readonly samples: number[] = []
  private next = 0

  /** An arrival whose record was appended at `appended` (server's clock) is known and will be drawn with the next frame. */
  arrived(appended: number): void {
    if (this.waiting.length < 256) this.waiting.push(appended)
  }

  /** A frame was drawn; `at` is the viewer's clock. */
  drawn(at: number): void {
    if (this.offset === undefined || this.waiting.length === 0) return
    for (const a of this.waiting) {
      this.samples[this.next] = Math.max(0, at + this.offset - a)
      this.next = (this.next + 1) % 1000
    }
    this.waiting = []
  }

  /** Nothing is drawn (a hidden tab): what waits is no measure of anything. */
  forget(): void {
    this.waiting = []
  }

  get count(): number {
    return this.samples.length
  }

  quantiles(): [p50: number, p99: number] {
    const s = [...this.samples].sort((x, y) => x - y)
    const q = (p: number) => Math.round(s[Math.min(s.length - 1, Math.floor(s.length * p))] ?? 0)
    return [q(0.5), q(0.99)]
  }
}

import type { Live } from './live.svelte'
import type { Train } from './fold'

/** A train seen at a platform. */
export interface Visit {
  train: string
  pattern: number
  call: number
  station: number
  dir: string
  at: number
  delay: number
}

interface VisitDoc {
  train_id: string
  pattern: number
  call: number
  station_id: number
  direction: string
  arrived_at: number
  delay_s: number
}

const HOUR = 3_600_000

/** Visits are the arrivals on a line in the last hour: what the server remembers, and from then on what the stream tells. */
export class Visits {
  readonly byTrain = new Map<string, Visit[]>()
  /** The newest visit and the one before it, by station and direction. */
  private readonly platforms = new Map<string, Visit[]>()
  private readonly forget: () => void
  version = 0

  constructor(
    private readonly live: Live,
    private readonly line: string,
  ) {
    const told = (t: Train) => {
      const p = live.pattern(t.pattern)
      const c = p?.calls[t.call]
      if (p?.line === line && c && t.status === 0) this.add({ train: t.id, pattern: t.pattern, call: t.call, station: c.station, dir: c.dir, at: t.arrived, delay: t.delay })
    }
    live.trainListeners.add(told)
    this.forget = () => live.trainListeners.delete(told)
  }

  async load(): Promise<void> {
    const r = await fetch(`/api/v1/lines/${encodeURIComponent(this.line)}`)
    if (!r.ok) return
    const doc = (await r.json()) as { last_hour: VisitDoc[] }
    for (const v of doc.last_hour) {
      this.add({ train: v.train_id, pattern: v.pattern, call: v.call, station: v.station_id, dir: v.direction, at: v.arrived_at, delay: v.delay_s })
    }
    for (const t of this.live.city.trains.values()) for (const f of this.live.trainListeners) f(t)
  }

  stop(): void {
    this.forget()
  }

  add(v: Visit): void {
    let list = this.byTrain.get(v.train)
    if (!list) this.byTrain.set(v.train, (list = []))
    insert(list, v)
    const key = `${v.station}/${v.dir}`
    let seen = this.platforms.get(key)
    if (!seen) this.platforms.set(key, (seen = []))
    insert(seen, v)
    while (seen.length > 40) seen.shift()
    this.version++
  }

  /** Drops what is older than an hour. */
  trim(now: number): void {
    for (const [id, list] of this.byTrain) {
      while (list[0] && list[0].at < now - HOUR - 600_000) list.shift()
      if (list.length === 0) this.byTrain.delete(id)
    }
  }

  /** Seconds between a train at its last platform and the train before it there; 0 where not known. */
  headway(train: string, station: number, dir: string, at: number): number {
    const seen = this.platforms.get(`${station}/${dir}`) ?? []
    for (let i = seen.length - 1; i >= 0; i--) {
      const v = seen[i]
      if (v && v.train !== train && v.at < at && at - v.at < HOUR) return (at - v.at) / 1000
    }
    return 0
  }
}

function insert(list: Visit[], v: Visit): void {
  let i = list.length
  while (i > 0 && (list[i - 1]?.at ?? 0) > v.at) i--
  const before = list[i - 1]
  if (before && before.at === v.at && before.train === v.train && before.call === v.call) return
  list.splice(i, 0, v)
}

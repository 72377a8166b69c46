import { IN_SERVICE } from './fold'
import type { Motion } from './motion'

/** A stop ahead of a train. `predicted` comes from the processing; `estimated` adds the timetable's run times to it. */
export interface Stop {
  call: number
  station: number
  dir: 'a' | 'b'
  due: number
  kind: 'predicted' | 'estimated'
}

/** What a stop is taken to last when times beyond the next are estimated, ms; as the server does. */
const DWELL = 20_000

/** The stops ahead of a train, as far as it turns back. */
export function ahead(m: Motion, most = 40): Stop[] {
  const t = m.train
  const out: Stop[] = []
  if (t.next < 0 || t.due <= 0 || t.status !== IN_SERVICE) return out
  const calls = m.way.pattern.calls
  let due = t.due
  for (let i = t.next, n = 0; n < Math.min(most, calls.length); n++, i = (i + 1) % calls.length) {
    const c = calls[i]
    if (!c) break
    out.push({ call: i, station: c.station, dir: c.dir, due, kind: n === 0 ? 'predicted' : 'estimated' })
    if (c.turn) break
    due += c.run * 1000 + DWELL
  }
  return out
}

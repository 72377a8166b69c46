/** When riders enter in a day: weights by hour for weekday, Saturday and Sunday, as in internal/cta/data/riders.csv (a test holds them to it). */
export const RIDERS: readonly (readonly [number, number, number])[] = [
  [0.01, 30, 12],
  [0.01, 21, 8],
  [0.01, 14, 6],
  [0.01, 6, 7],
  [0.0125, 6, 6],
  [0.025, 9, 8],
  [0.05, 16, 13],
  [0.075, 25, 20],
  [0.125, 36, 30],
  [0.075, 46, 41],
  [0.05, 55, 52],
  [0.025, 62, 60],
  [0.0225, 67, 66],
  [0.0225, 70, 70],
  [0.0225, 72, 72],
  [0.025, 73, 72],
  [0.05, 73, 70],
  [0.075, 71, 65],
  [0.125, 66, 57],
  [0.075, 57, 48],
  [0.05, 48, 40],
  [0.025, 42, 33],
  [0.01, 37, 27],
  [0.01, 30, 20],
]

export type DayKind = 0 | 1 | 2

const weekday = new Intl.DateTimeFormat('en-US', { timeZone: 'America/Chicago', weekday: 'short' })
const hour = new Intl.DateTimeFormat('en-US', { timeZone: 'America/Chicago', hour: 'numeric', hourCycle: 'h23' })

export const hourOf = (ms: number): number => Number(hour.format(ms)) % 24

const date = new Intl.DateTimeFormat('en-US', { timeZone: 'America/Chicago', month: 'numeric', day: 'numeric' })

/** The six holidays of internal/cta/calendar.go, which are as Sundays. */
function holiday(ms: number, day: string): boolean {
  const [m = 0, d = 0] = date.format(ms).split('/').map(Number)
  const week = Math.ceil(d / 7)
  if (day === 'Mon' && ((m === 5 && d > 24) || (m === 9 && week === 1))) return true
  return (m === 1 && d === 1) || (m === 7 && d === 4) || (m === 11 && day === 'Thu' && week === 4) || (m === 12 && d === 25)
}

/** The kind of service day a moment belongs to: the small hours are of the day before. */
export function dayKind(ms: number): DayKind {
  const d = weekday.format(ms - 3 * 3_600_000)
  if (holiday(ms - 3 * 3_600_000, d)) return 2
  return d === 'Sat' ? 1 : d === 'Sun' ? 2 : 0
}

/** How many people usually enter in five minutes at that time, of `perDay` a day by kind of day. */
export function usual(ms: number, perDay: readonly [number, number, number]): number {
  const kind = dayKind(ms)
  const all = RIDERS.reduce((x, r) => x + r[kind], 0)
  return (perDay[kind] * (RIDERS[hourOf(ms)]?.[kind] ?? 0)) / all / 12
}

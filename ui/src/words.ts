import type { Live } from './city/live.svelte'
import { OVERDUE_MS, type Motion } from './city/motion'

const clock = new Intl.DateTimeFormat('en-US', { timeZone: 'America/Chicago', hour: 'numeric', minute: '2-digit', second: '2-digit' })
const minute = new Intl.DateTimeFormat('en-US', { timeZone: 'America/Chicago', hour: 'numeric', minute: '2-digit' })
const day = new Intl.DateTimeFormat('en-US', { timeZone: 'America/Chicago', weekday: 'short', month: 'long', day: 'numeric' })
const whole = new Intl.NumberFormat('en-US')
const tenth = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 })

export const time = (ms: number): string => (ms ? clock.format(ms) : '–')
export const timeShort = (ms: number): string => (ms ? minute.format(ms) : '–')
export const date = (ms: number): string => (ms ? day.format(ms) : '')
export const count = (n: number): string => whole.format(n)
export const rate = (n: number): string => (n >= 100 ? whole.format(Math.round(n)) : tenth.format(n))

/** A line's status word as riders would say it. */
export const STATUS: Readonly<Record<string, string>> = {
  delays: 'Delays',
  long_waits: 'Long waits',
  slow: 'Slow',
  good_service: 'Good service',
  not_scheduled: 'Not scheduled now',
  no_service: 'No service',
}

/** How much a status asks for attention: 0 none, 3 most. */
export const GRAVITY: Readonly<Record<string, number>> = { delays: 3, no_service: 3, long_waits: 2, slow: 1, good_service: 0, not_scheduled: 0 }

export const statusWord = (s: string | undefined): string => (s ? (STATUS[s] ?? s.replaceAll('_', ' ')) : 'Not known yet')

export const WEATHER: Readonly<Record<string, string>> = {
  sunny: 'Sunny',
  partly_cloudy: 'Partly cloudy',
  cloudy: 'Cloudy',
  windy: 'Windy',
  precipitation: 'Rain or snow',
}

/** "45 s", "4 min", "2 h 5 min". */
export function span(s: number): string {
  if (s < 90) return `${Math.round(s)} s`
  if (s < 7200) return `${Math.round(s / 60)} min`
  const m = Math.round(s / 60)
  return `${Math.floor(m / 60)} h ${m % 60} min`
}

/** "due", "1 min", "12 min" until a time. */
export function until(at: number, now: number): string {
  const s = (at - now) / 1000
  if (s < 30) return 'Due'
  return `${Math.max(1, Math.round(s / 60))} min`
}

/** Behind or ahead of the timetable in words. */
export function delay(s: number): string {
  if (s >= 60) return `${Math.round(s / 60)} min late`
  if (s <= -90) return `${Math.round(-s / 60)} min early`
  return 'on time'
}

/** How old something is, finely: "38 ms", "2.1 s", "4 min". */
export function age(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`
  return span(ms / 1000)
}

export function bytes(n: number): string {
  return n < 1024 ? `${n} B` : n < 1_048_576 ? `${(n / 1024).toFixed(1)} KB` : `${(n / 1_048_576).toFixed(1)} MB`
}

/** Where a train goes, as on its sign: "Howard-bound"; at its present call, or at another one. */
export function toward(live: Live, m: Motion, call = m.train.call): string {
  void live.trainsVersion // a motion is the same object whatever its train does
  const c = m.way.pattern.calls[call]
  const line = live.lines.get(m.way.pattern.line)
  return c && line ? line.toward[c.dir === 'b' ? 1 : 0] : ''
}

/** Where a train is, in a sentence without its name. */
export function whereabouts(live: Live, m: Motion, now: number): string {
  void live.trainsVersion
  const calls = m.way.pattern.calls
  const t = m.train
  const here = live.stationName(calls[t.call]?.station ?? 0)
  if (t.status === 2) return `broken down at ${here}`
  if (t.status === 1) return `out of service at ${here}`
  if (t.next < 0 || t.due <= 0) return `at ${here}`
  const next = calls[t.next]
  if (next?.station === calls[t.call]?.station) return `at ${here}, turning back`
  const there = live.stationName(next?.station ?? 0)
  if (now <= Math.max(t.depart, t.arrived)) return `at ${here}`
  if (now > t.due + OVERDUE_MS) return `near ${there}, expected there since ${timeShort(t.due)}`
  return `left ${here} for ${there}`
}

// The forms of /api/v1/topics and of the records behind a train.

export interface Datum {
  format: string
  schema_id?: number
  schema?: string
  size: number
  json?: unknown
  text?: string
  error?: string
  cut?: boolean
}

export interface LogRecord {
  topic: string
  partition: number
  offset: number
  appended: number
  key: Datum
  value: Datum
  headers: { key: string; value: Datum }[]
}

export interface Source {
  topic: string
  partition: number
  offset: number
  appended: number
}

export interface Hop {
  hop: string
  source: Source
  age_ms: number
  record?: LogRecord
  error?: string
}

export interface TopicInfo {
  name: string
  partitions: { partition: number; start: number; end: number; stable: number }[]
  records: number
  config?: Record<string, string>
}

export interface RecordPage {
  records: LogRecord[]
  next: Record<string, number>
  scanned: number
  more: boolean
}

/** A key or value as text: one line, or laid out. */
export function show(d: Datum, pretty = false): string {
  if (d.error) return d.error
  if (d.format === 'null') return 'null (tombstone)'
  if (d.json !== undefined) return JSON.stringify(d.json, null, pretty ? 2 : 0)
  return (d.text ?? '') + (d.cut ? '…' : '')
}

/** What a datum is: "Avro · train_value · schema 1 · 117 B". */
export function kind(d: Datum): string {
  const parts = [d.format === 'avro' ? 'Avro' : d.format === 'json' ? 'JSON' : d.format]
  if (d.schema) parts.push(d.schema)
  if (d.schema_id) parts.push(`schema ${d.schema_id}`)
  parts.push(`${d.size} B`)
  return parts.join(' · ')
}

/** Fetches JSON, or throws what the server says is wrong. */
export async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  const r = await fetch(url, signal ? { signal } : {})
  if (r.ok) return (await r.json()) as T
  const body: unknown = await r.json().catch(() => undefined)
  throw new Error(body && typeof body === 'object' && 'error' in body ? String(body.error) : `the server answered ${r.status}`)
}

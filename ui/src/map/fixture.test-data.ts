import type { NetworkCall, NetworkDocument } from '../city/wire'

/** The real network from the data files of internal/cta, in the form of /api/v1/network. For tests alone. */
export function fixture(read: (file: string) => string): NetworkDocument {
  const rows = (file: string): string[][] =>
    read(file).trim().split('\n').slice(1).map((l) => [...l.matchAll(/("([^"]*)"|[^,]*)(,|$)/g)].map((m) => m[2] ?? m[1] ?? ''))
  const calls = rows('calls.csv')
  const shapes = new Map(rows('shapes.csv').map((r) => [r[0], r[1] ?? '']))
  const patterns = rows('patterns.csv').map(([id = '', line = '', circuit, name = '']) => {
    const shape = (shapes.get(id) ?? '').split(' ').map((p) => p.split(',').map(Number) as [number, number])
    const shape_at = [0]
    for (let i = 1; i < shape.length; i++) {
      const a = shape[i - 1] ?? [0, 0]
      const b = shape[i] ?? [0, 0]
      const dy = (b[0] - a[0]) * 111_195
      const dx = (b[1] - a[1]) * 111_195 * Math.cos((41.88 * Math.PI) / 180)
      shape_at.push((shape_at[i - 1] ?? 0) + Math.hypot(dx, dy))
    }
    const own = calls.filter((c) => c[0] === id).map((c): NetworkCall => ({
      station: Number(c[1]), dir: c[2] === 'b' ? 'b' : 'a', at: Number(c[4]), run: Number(c[5]), track: Number(c[6]), turn: Number(c[6]) === 0,
    }))
    return { id, line, name, circuit: circuit === 'yes', shape, shape_at, calls: own }
  })
  const stations = rows('stations.csv').map(([id, name = '', descriptive = '', lat, lon, ada]) => ({
    id: Number(id), name, descriptive, slug: '', lat: Number(lat), lon: Number(lon), ada: ada === 'yes', lines: [] as string[],
    entries: [0, 0, 0] as [number, number, number],
  }))
  const lines = rows('lines.csv').map(([id = '', , name = '', color = '', a = '', b = '']) => ({
    id, name, color, toward: [a, b] as [string, string], stations: [] as number[],
  }))
  return { lines, patterns, stations }
}

import { describe, expect, it } from 'vitest'
import { NODE, curve, flows, lay, type PipelineEdge, type PipelineNode } from './pipeline'

const node = (id: string, kind: string): PipelineNode => ({ id, kind, name: id, state: 'ok', detail: '', rate: 1 })
const edge = (from: string, to: string, topic: string, rate: number): PipelineEdge => ({ from, to, topic, unit: 'records', count: 1, rate, lag_records: 2, lag_ms: rate * 10, trend: 1 })

describe('the pipeline', () => {
  it('gives every part a place of its own, parts it does not know too', () => {
    const laid = lay([node('city', 'producer'), node('extra', 'producer'), node('more', 'source'), node('board', 'board'), node('x', 'processor'), node('registry', 'registry')])
    expect(laid).toHaveLength(5) // the registry is drawn apart
    const known = ['source', 'city', 'weather', 'stations', 'turnstiles', 'gateway', 'lines', 'board', 'viewers'].map((id) => node(id, 'processor'))
    for (const list of [laid, lay([...known, node('new-1', 'processor'), node('new-2', 'processor'), node('x', 'producer'), node('y', 'odd')])]) {
      for (const a of list) for (const b of list) if (a !== b) expect(Math.abs(a.x - b.x) >= NODE.w || Math.abs(a.y - b.y) >= NODE.h, `${a.id} ${b.id}`).toBe(true)
    }
  })
  it('lets no flow bend before the words of its neighbours, which bend to the board as well', () => {
    const laid = lay(['stations', 'turnstiles', 'gateway', 'lines', 'board'].map((id) => node(id, 'processor')))
    const board = laid.at(-1)
    if (!board) throw new Error('no board')
    const last = Math.max(...laid.slice(0, -1).map((n) => n.x + NODE.w))
    for (const n of laid.slice(0, -1)) {
      const bend = Number(/L([\d.]+) /.exec(curve(n, board, false).d)?.[1])
      expect(bend - last, n.id).toBeGreaterThan(100) // "14.2/s · no lag" is some 90 wide
    }
  })
  it('leaves a flow that passes between two parts room for its words, under those of two topics above', () => {
    const [city, lines] = lay(['city', 'lines', 'turnstiles', 'board'].map((id) => node(id, 'processor')))
    if (!city || !lines) throw new Error('no parts')
    expect(city.y - lines.y).toBeGreaterThanOrEqual(33 + 4 + 10 + 9) // the second topic's line, its descent; the height of the words, which stand 9 above theirs
  })
  it('brings the topics between two parts together, the fastest first', () => {
    const all = flows([edge('lines', 'board', 'slow', 1), edge('a', 'b', '', 3), edge('lines', 'board', 'fast', 9)])
    expect(all).toHaveLength(2)
    expect(all[0]).toMatchObject({ from: 'lines', to: 'board', rate: 10, lag: 4, lagMs: 90, trend: 2 })
    expect(all[0]?.edges.map((e) => e.topic)).toEqual(['fast', 'slow'])
    expect(all[1]?.topics).toEqual([])
  })
})

import { describe, expect, it } from 'vitest'
import { NODE, lay, type PipelineNode } from './pipeline'

const node = (id: string, kind: string): PipelineNode => ({ id, kind, name: id, state: 'ok', detail: '', rate: 0 })

describe('the drawing of the pipeline', () => {
  it('lets no two parts cover each other, known or not', () => {
    const known = ['source', 'city', 'weather', 'registry', 'stations', 'forward', 'turnstiles', 'gateway', 'lines', 'board', 'viewers'].map((id) => node(id, 'processor'))
    const laid = lay([...known, node('new-1', 'processor'), node('new-2', 'processor'), node('x', 'producer'), node('y', 'odd')])
    for (const a of laid) for (const b of laid) if (a !== b) expect(Math.abs(a.x - b.x) >= NODE.w || Math.abs(a.y - b.y) >= NODE.h, `${a.id} ${b.id}`).toBe(true)
  })
})

import { describe, expect, it } from 'vitest'
import { parse } from './route.svelte'

describe('addresses', () => {
  for (const [path, view, id] of [
    ['/', 'system', ''],
    ['/line/red', 'line', 'red'],
    ['/station/40900', 'station', '40900'],
    ['/train/RD%20101', 'train', 'RD 101'],
    ['/pipeline', 'pipeline', ''],
    ['/pipeline/topics/org.chicago.cta.trains.v1', 'pipeline', 'org.chicago.cta.trains.v1'],
    ['/pipeline/topics', 'pipeline', ''],
    ['/line', 'none', ''],
    ['/train/%E0%A4%A', 'none', ''],
    ['/metrics', 'none', ''],
  ] as const) {
    it(`${path} is ${view} ${id}`, () => expect(parse(path, '')).toMatchObject({ view, id }))
  }
})

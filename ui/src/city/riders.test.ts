import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { RIDERS, dayKind, hourOf, usual } from './riders'

it('the riders’ day is that of the city', () => {
  const csv = readFileSync(new URL('../../../internal/cta/data/riders.csv', import.meta.url), 'utf8')
  expect(RIDERS).toEqual(csv.trim().split('\n').slice(1).map((l) => l.split(',').slice(1).map(Number)))
})

it('the small hours belong to the day before', () => {
  expect(dayKind(Date.parse('2026-04-18T01:00:00-05:00'))).toBe(0)
  expect(dayKind(Date.parse('2026-04-18T12:00:00-05:00'))).toBe(1)
  expect(hourOf(Date.parse('2026-04-18T12:30:00-05:00'))).toBe(12)
})

it('a day of five-minute windows adds up to the day', () => {
  const noon = Date.parse('2026-04-14T03:00:00-05:00')
  let sum = 0
  for (let i = 0; i < 288; i++) sum += usual(noon + i * 300_000, [1000, 0, 0])
  expect(sum).toBeCloseTo(1000)
})

it('holidays are as Sundays, and so are their small hours', () => {
  const kinds = ['2026-01-01', '2026-05-25', '2026-07-04', '2026-09-07', '2026-11-26', '2026-12-25', '2026-05-18', '2026-11-19'].map((d) => dayKind(Date.parse(`${d}T12:00:00-05:00`)))
  expect(kinds).toEqual([2, 2, 2, 2, 2, 2, 0, 0])
  expect(dayKind(Date.parse('2026-05-26T01:00:00-05:00'))).toBe(2)
})

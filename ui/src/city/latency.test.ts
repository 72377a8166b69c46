import { expect, it } from 'vitest'
import { Latency } from './latency'

it('measures from the append to the frame, by the server’s clock', () => {
  const l = new Latency()
  l.offset = 1000
  l.arrived(5000)
  l.arrived(5010)
  l.drawn(4050) // 5050 by the server's clock
  expect(l.quantiles()).toEqual([50, 50])
  l.drawn(9000)
  expect(l.count).toBe(2)
})

it('counts nothing while the offset is not known or nothing is drawn', () => {
  const l = new Latency()
  l.arrived(1)
  l.forget()
  l.drawn(100)
  expect(l.count).toBe(0)
})

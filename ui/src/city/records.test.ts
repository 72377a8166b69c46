import { afterEach, describe, expect, it, vi } from 'vitest'
import { get } from './records'

afterEach(() => vi.unstubAllGlobals())
const answer = (body: string, status: number) => vi.stubGlobal('fetch', () => Promise.resolve(new Response(body, { status })))

describe('what the server answers', () => {
  it('is given as it is', async () => {
    answer('{"hops":[]}', 200)
    expect(await get('/x')).toEqual({ hops: [] })
  })
  it('is an error when it was cut off, never nothing', async () => {
    answer('{"hops":[', 200)
    await expect(get('/x')).rejects.toThrow()
  })
  it('is an error in the server’s words', async () => {
    answer('{"error":"the log cannot be read now"}', 503)
    await expect(get('/x')).rejects.toThrow('the log cannot be read now')
    answer('<html>', 502)
    await expect(get('/x')).rejects.toThrow('the server answered 502')
  })
})

/** Keeps a canvas as large as its element, in device pixels; the answer is its context scaled to CSS pixels. */
export function sized(c: HTMLCanvasElement): { g: CanvasRenderingContext2D; w: number; h: number; dpr: number } | undefined {
  const w = c.clientWidth
  const h = c.clientHeight
  const dpr = Math.min(3, devicePixelRatio || 1)
  const [W, H] = [Math.round(w * dpr), Math.round(h * dpr)]
  if (c.width !== W || c.height !== H) {
    c.width = W
    c.height = H
  }
  const g = c.getContext('2d')
  if (!g || w === 0 || h === 0) return undefined
  g.setTransform(dpr, 0, 0, dpr, 0, 0)
  return { g, w, h, dpr }
}

export const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif'

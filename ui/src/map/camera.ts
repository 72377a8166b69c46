import type { Point } from './tracks'

/** Camera is what part of the map is seen: its middle, and pixels to a unit. */
export interface Camera {
  x: number
  y: number
  k: number
}

export const MIN_K = 4
export const MAX_K = 420

export function clampCamera(c: Camera): Camera {
  return { x: Math.max(-60, Math.min(50, c.x)), y: Math.max(-60, Math.min(55, c.y)), k: Math.max(MIN_K, Math.min(MAX_K, c.k)) }
}

/** The camera that shows a box within a viewport, less the margins of its sides. */
export function fit(box: readonly [number, number, number, number], w: number, h: number, pad = 0): Camera {
  const k = Math.min((w - pad * 2) / (box[2] - box[0]), (h - pad * 2) / (box[3] - box[1]))
  return clampCamera({ x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2, k })
}

/** Zooms by a factor about a place of the viewport. */
export function zoomAt(c: Camera, w: number, h: number, at: Point, factor: number): Camera {
  const k = Math.max(MIN_K, Math.min(MAX_K, c.k * factor))
  const x = c.x + (at[0] - w / 2) / c.k
  const y = c.y + (at[1] - h / 2) / c.k
  return clampCamera({ x: x - (at[0] - w / 2) / k, y: y - (at[1] - h / 2) / k, k })
}

/** Width of a line in pixels. */
export function lineWidth(k: number): number {
  return Math.max(2, Math.min(9, 0.9 + k * 0.23))
}

/** Colours of the canvases; the page's own are in app.css and have the same names. */
export interface Palette {
  dark: boolean
  land: string
  water: string
  waterText: string
  ink: string
  dim: string
  paper: string
  stale: string
  line: Readonly<Record<string, string>>
  /** What is written or drawn on a line's colour. */
  on: Readonly<Record<string, string>>
}

const ON = { red: '#fff', blue: '#fff', brown: '#fff', green: '#fff', orange: '#fff', pink: '#3b1526', purple: '#fff', yellow: '#332c00' }

export const LIGHT: Palette = {
  dark: false, land: '#f5f3ee', water: '#d3e3ec', waterText: '#5b7f93', ink: '#1b2230', dim: '#5a6272', paper: '#ffffff', stale: '#9aa0aa',
  line: { red: '#c60c30', blue: '#0096d2', brown: '#62361b', green: '#00873a', orange: '#f0501e', pink: '#e27ea6', purple: '#522398', yellow: '#f2cf00' },
  on: ON,
}

export const DARK: Palette = {
  dark: true, land: '#12161d', water: '#182836', waterText: '#5f8aa3', ink: '#e9edf3', dim: '#98a2b3', paper: '#0b0e13', stale: '#6c7480',
  line: { red: '#e5324f', blue: '#21aeea', brown: '#a9714a', green: '#1fae5c', orange: '#ff7a45', pink: '#f09bbd', purple: '#9b74e8', yellow: '#f5dc3c' },
  on: { ...ON, pink: '#2a0d1a', blue: '#04222f', green: '#04220f', orange: '#2e0f02', yellow: '#332c00', brown: '#1d0f06', purple: '#140728', red: '#fff' },
}

export function lineColor(p: Palette, id: string): string {
  return p.line[id] ?? p.dim
}

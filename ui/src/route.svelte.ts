/** The address is the state: what is seen can be sent to somebody else as a link. */

export type ViewName = 'system' | 'line' | 'station' | 'train' | 'pipeline' | 'none'

export interface Place {
  view: ViewName
  /** Of the line, station, train; for the pipeline the topic. */
  id: string
  query: URLSearchParams
}

export function parse(path: string, search: string): Place {
  const query = new URLSearchParams(search)
  const [, first = '', ...rest] = path.split('/')
  let id = ''
  try {
    id = decodeURIComponent(rest.join('/'))
  } catch {
    return { view: 'none', id: '', query }
  }
  if (first === '') return { view: 'system', id: '', query }
  if ((first === 'line' || first === 'station' || first === 'train') && id !== '') return { view: first, id, query }
  if (first === 'pipeline') return { view: 'pipeline', id: id.replace(/^topics?(\/|$)/, ''), query }
  return { view: 'none', id: '', query }
}

class Route {
  place: Place = $state.raw({ view: 'system', id: '', query: new URLSearchParams() })
  /** Rises with each step to another page, for the focus and the scroll. */
  steps = $state(0)

  start(): void {
    this.place = parse(location.pathname, location.search)
    // The views are made when they are needed, too late for the browser to find where one had scrolled to.
    history.scrollRestoration = 'manual'
    back((history.state as { y?: number } | null)?.y ?? 0)
    addEventListener('scrollend', () => history.replaceState({ y: scrollY }, ''))
    addEventListener('popstate', (e) => {
      this.place = parse(location.pathname, location.search)
      this.steps++
      back((e.state as { y?: number } | null)?.y ?? 0)
    })
    document.addEventListener('click', (e) => {
      if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
      const a = e.target instanceof Element ? e.target.closest('a') : null
      if (!a || a.target || a.hasAttribute('download') || a.origin !== location.origin || a.pathname.startsWith('/api/') || a.hash) return
      if (parse(a.pathname, a.search).view === 'none') return
      e.preventDefault()
      this.go(a.pathname + a.search)
    })
  }

  go(href: string): void {
    if (href === location.pathname + location.search) return
    history.pushState(null, '', href)
    this.place = parse(location.pathname, location.search)
    this.steps++
    scrollTo(0, 0)
  }

  /** Changes the query of the page in place; an empty value removes a key. */
  set(changes: Record<string, string>, push = false): void {
    const q = new URLSearchParams(location.search)
    for (const [k, v] of Object.entries(changes)) {
      if (v === '') q.delete(k)
      else q.set(k, v)
    }
    const s = q.toString().replaceAll('%2C', ',').replaceAll('%3A', ':')
    const href = location.pathname + (s ? `?${s}` : '')
    if (href === location.pathname + location.search) return
    history[push ? 'pushState' : 'replaceState'](history.state, '', href)
    this.place = { ...this.place, query: q }
  }
}

/** Scrolls back to where a page was, as soon as it is that long again. */
function back(y: number, tries = 60): void {
  if (tries === 0 || document.documentElement.scrollHeight >= y + innerHeight) scrollTo(0, y)
  else requestAnimationFrame(() => back(y, tries - 1))
}

export const route = new Route()

export const href = {
  line: (id: string) => `/line/${encodeURIComponent(id)}`,
  station: (id: number | string) => `/station/${id}`,
  train: (id: string) => `/train/${encodeURIComponent(id)}`,
  topic: (name: string) => `/pipeline/topics/${encodeURIComponent(name)}`,
}

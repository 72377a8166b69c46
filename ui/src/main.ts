import { mount } from 'svelte'
import App from './App.svelte'
import './app.css'
import { Frames } from './city/frames'
import { Live } from './city/live.svelte'
import type { NetworkDocument } from './city/wire'
import { route } from './route.svelte'
import { theme } from './theme.svelte'

// The page the server rendered stays until there is something better to show.
async function start(): Promise<void> {
  theme.start()
  const live = new Live(await network())
  live.start()
  const frames = new Frames(live)
  route.start()
  const app = document.getElementById('app')
  if (!app) return
  const first = () => {
    const target = document.createElement('div')
    target.id = 'app'
    mount(App, { target, props: { live, frames } })
    app.replaceWith(target)
    live.latency.forget() // what waited for the page itself says nothing of the stream
    document.documentElement.dataset['app'] = 'on'
  }
  // Take over with the first snapshot in hand, so that nothing flashes; but do not wait long for it.
  await Promise.race([live.first, new Promise((r) => setTimeout(r, 1500))])
  first()
}

async function network(): Promise<NetworkDocument> {
  for (let wait = 500; ; wait = Math.min(8000, wait * 2)) {
    try {
      const r = await fetch('/api/v1/network')
      if (r.ok) return (await r.json()) as NetworkDocument
    } catch {
      // the server is away; the rendered page is still there to read
    }
    await new Promise((r) => setTimeout(r, wait))
  }
}

void start()

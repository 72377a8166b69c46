import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

// The build is served by the Go binary: names carry a hash of their content and
// nothing else, so that the same source gives the same files anywhere.
export default defineConfig({
  plugins: [svelte()],
  // `npm run dev` shows a running ell (ELL_URL) with the source as it is edited.
  server: { proxy: { '/api': process.env['ELL_URL'] ?? 'http://127.0.0.1:8888' } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    manifest: 'manifest.json',
    target: 'es2022',
    modulePreload: { polyfill: false },
    rollupOptions: { input: 'src/main.ts' },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})

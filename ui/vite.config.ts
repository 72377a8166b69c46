import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'
import { mockCity } from './dev/mock.ts'

// The build is served by the Go binary: names carry a hash of their content and
// nothing else, so that the same source gives the same files anywhere.
export default defineConfig({
  plugins: [svelte(), mockCity()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    manifest: 'manifest.json',
    target: 'es2022',
    cssCodeSplit: true,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    rollupOptions: { input: 'src/main.ts' },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})

/// <reference types="vitest/config" />
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

// In development the pages come from here and everything else from a running server.
const server = process.env.ESPALIER_URL ?? 'http://127.0.0.1:8000';
const api =
  '^/(admin|api|app/config|dashboards|devices|events|firmware|fleet|forgot-password|groups|health|login|logout|me|metrics|notifications|openapi.json|quarantine|refresh|releases|reset-password|rollouts|screens|setup|shared|signup|telemetry|token|uploads|verify-reset-token|widgets|ws)(/|\\?|$)';

/** Writes a compressed twin beside every text, so that the server never compresses the same thing twice. */
function compressed(): Plugin {
  let folder = '';
  return {
    name: 'compressed',
    apply: 'build',
    configResolved: (config) => void (folder = config.build.outDir),
    closeBundle() {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(html|js|css|svg|webmanifest)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const text = readFileSync(path);
        const twins = { br: brotliCompressSync(text), gz: gzipSync(text, { level: 9 }) };
        for (const [end, twin] of Object.entries(twins)) {
          if (twin.length < text.length) writeFileSync(`${path}.${end}`, twin);
        }
      }
    },
  };
}

export default defineConfig({
  plugins: [svelte(), compressed()],
  resolve: { alias: { $: fileURLToPath(new URL('./src', import.meta.url)) } },
  // The document's address ends wherever the person is; files are always below the root.
  base: '/',
  build: { target: 'es2023', assetsInlineLimit: 0, sourcemap: false, modulePreload: { polyfill: false } },
  server: { proxy: { [api]: { target: server, ws: true } } },
  test: { include: ['src/**/*.test.ts'] },
});

#!/usr/bin/env node
// Plain JavaScript that any Node runs: TypeScript needs a newer one than this may be, and npm has installed it with the project.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

if (process.features.typescript) {
  await import('../../scripts/ts.mjs')
  const { main } = await import('./main.ts')
  await main(process.argv)
} else {
  const bundled = join(root, 'node_modules', '.bin', 'node')
  if (!existsSync(bundled)) {
    console.error(`perigee needs Node 22.18 or newer; this is ${process.version}. Run \`npm ci\` in ${root}: it installs one beside the project.`)
    process.exit(1)
  }
  const child = spawn(bundled, process.argv.slice(1), { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)))
}

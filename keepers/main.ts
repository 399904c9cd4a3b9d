// SPDX-License-Identifier: Apache-2.0
// Starts one keeper by its name: `node --import ./scripts/ts.mjs keepers/main.ts storage/node --rpc-url …`.
import { existsSync, globSync } from 'node:fs'

const folder = import.meta.dirname
const [name] = process.argv.splice(2, 1)

if (name === undefined || !/^[a-z0-9-]+\/[a-z0-9-]+$/.test(name) || !existsSync(`${folder}/${name}/main.ts`)) {
  const known = globSync('*/*/main.ts', { cwd: folder }).map((path) => path.replace(/\/main\.ts$/, ''))
  process.stderr.write(`${name ?? 'nothing'} is not a keeper; there are: ${known.sort().join(', ')}\n`)
  process.exit(2)
}
await import(`./${name}/main.ts`)

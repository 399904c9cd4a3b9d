// Compiles each family of kernels to codec/build, once with SIMD and once without.
// Does nothing for a family when neither its sources nor the compiler have changed.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { keccakSource } from './keccak/keccak-f.mjs'
import { sha256Source } from './rows/sha-256.mjs'

const output = new URL('build/', import.meta.url)
const assembly = (family, name) => readFileSync(new URL(`${family}/assembly/${name}.ts`, import.meta.url), 'utf8')
/** Files of a family, each under its own name or, "from as to", under the one that the others import. */
const sources = (family, names) => Object.fromEntries(names.map((name) => name.split(' as ')).map(([from, to = from]) => [`${to}.ts`, assembly(family, from)]))

const rows = ['kernels', 'code', 'combination', 'field', 'hash', 'transform']
const threads = ['--enable', 'threads', '--importMemory', '--sharedMemory', '--initialMemory', '6', '--maximumMemory', '65536']

/** Flavours of each family: sources by name, of which `kernels.ts` is the entry, and flags of the compiler. */
const families = {
  keccak: {
    simd: { sources: { ...sources('keccak', ['kernels', 'single', 'pair']), 'keccak.ts': keccakSource(['pair', 'single']) }, flags: ['--enable', 'simd'] },
    scalar: { sources: { ...sources('keccak', ['kernels', 'single']), 'keccak.ts': keccakSource(['single']) }, flags: [] },
  },
  rows: {
    simd: {
      sources: { ...sources('rows', [...rows, 'quad as lane', 'vector-simd as vector']), 'sha-256.ts': sha256Source() },
      flags: [...threads, '--enable', 'simd,relaxed-simd'],
    },
    scalar: { sources: { ...sources('rows', [...rows, 'single as lane', 'vector-scalar as vector']), 'sha-256.ts': sha256Source() }, flags: threads },
  },
}
const flags = ['-O3', '--noAssert', '--runtime', 'stub', '--use', 'abort=']
const { version } = createRequire(import.meta.url)('assemblyscript/package.json')

for (const [family, flavours] of Object.entries(families)) {
  const stamp = new URL(`${family}.sha256`, output)
  const hash = createHash('sha256')
    .update(JSON.stringify([version, flags, flavours]))
    .digest('hex')
  const wasm = (flavour) => new URL(`${family}-${flavour}.wasm`, output)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash && Object.keys(flavours).every((flavour) => existsSync(wasm(flavour)))) continue

  const { main } = await import('assemblyscript/asc')
  mkdirSync(output, { recursive: true })
  for (const [flavour, { sources, flags: own }] of Object.entries(flavours)) {
    const { error, stderr } = await main(['kernels.ts', '--outFile', 'out.wasm', ...flags, ...own], {
      readFile: (name) => sources[name] ?? null,
      writeFile: (_name, contents) => replace(wasm(flavour), contents),
      listFiles: () => [],
    })
    if (error) throw new Error(`codec: the ${flavour} kernels of ${family} do not compile\n${stderr}`)
  }
  replace(stamp, hash)
}

/** Another process that loads the file meanwhile sees it whole, old or new. */
function replace(file, contents) {
  const temporary = new URL(`${file.href}.${process.pid}`)
  writeFileSync(temporary, contents)
  renameSync(temporary, file)
}

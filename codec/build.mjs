// Compiles the kernels in codec/assembly to codec/build, once with SIMD and once without.
// Does nothing when neither the sources nor the compiler have changed.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { keccakSource } from './keccak-f.mjs'

const output = new URL('build/', import.meta.url)
const stamp = new URL('sources.sha256', output)
const assembly = (name) => readFileSync(new URL(`assembly/${name}`, import.meta.url), 'utf8')
const shared = { 'kernels.ts': assembly('kernels.ts'), 'single.ts': assembly('single.ts') }
const flavours = {
  simd: { sources: { ...shared, 'pair.ts': assembly('pair.ts'), 'keccak.ts': keccakSource(['pair', 'single']) }, flags: ['--enable', 'simd'] },
  scalar: { sources: { ...shared, 'keccak.ts': keccakSource(['single']) }, flags: [] },
}
const flags = ['-O3', '--noAssert', '--runtime', 'stub', '--use', 'abort=']
const { version } = createRequire(import.meta.url)('assemblyscript/package.json')
const hash = createHash('sha256')
  .update(JSON.stringify([version, flags, flavours]))
  .digest('hex')
const wasm = (flavour) => new URL(`keccak-${flavour}.wasm`, output)

const built = existsSync(stamp) && readFileSync(stamp, 'utf8') === hash && Object.keys(flavours).every((flavour) => existsSync(wasm(flavour)))
if (!built) {
  const { main } = await import('assemblyscript/asc')
  mkdirSync(output, { recursive: true })
  for (const [flavour, { sources, flags: own }] of Object.entries(flavours)) {
    const { error, stderr } = await main(['kernels.ts', '--outFile', 'out.wasm', ...flags, ...own], {
      readFile: (name) => sources[name] ?? null,
      writeFile: (_name, contents) => replace(wasm(flavour), contents),
      listFiles: () => [],
    })
    if (error) throw new Error(`codec: the ${flavour} kernels do not compile\n${stderr}`)
  }
  replace(stamp, hash)
}

/** Another process that loads the file meanwhile sees it whole, old or new. */
function replace(file, contents) {
  const temporary = new URL(`${file.href}.${process.pid}`)
  writeFileSync(temporary, contents)
  renameSync(temporary, file)
}

// Compiles the kernels in codec/assembly to codec/build, once for two lanes of SIMD and once for plain 64-bit words.
// Does nothing when neither the sources nor the compiler have changed.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { keccakSource } from './keccak-f.mjs'

const output = new URL('build/', import.meta.url)
const stamp = new URL('sources.sha256', output)
const assembly = (name) => readFileSync(new URL(`assembly/${name}`, import.meta.url), 'utf8')
const flags = ['-O3', '--noAssert', '--runtime', 'stub', '--use', 'abort=']
const { version } = createRequire(import.meta.url)('assemblyscript/package.json')

const flavours = {
  simd: { flags: [...flags, '--enable', 'simd'], lanes: assembly('lanes.simd.ts') },
  scalar: { flags, lanes: assembly('lanes.scalar.ts') },
}
const shared = { 'kernels.ts': assembly('kernels.ts'), 'keccak.ts': keccakSource() }
const hash = createHash('sha256')
  .update(JSON.stringify([version, flavours, shared]))
  .digest('hex')
const wasm = (flavour) => new URL(`keccak-${flavour}.wasm`, output)

const built = existsSync(stamp) && readFileSync(stamp, 'utf8') === hash && Object.keys(flavours).every((flavour) => existsSync(wasm(flavour)))
if (!built) {
  const { main } = await import('assemblyscript/asc')
  mkdirSync(output, { recursive: true })
  for (const [flavour, { flags, lanes }] of Object.entries(flavours)) {
    const sources = { ...shared, 'lanes.ts': lanes }
    const { error, stderr } = await main(['kernels.ts', '--outFile', 'out.wasm', ...flags], {
      readFile: (name) => sources[name] ?? null,
      writeFile: (_name, contents) => writeFileSync(wasm(flavour), contents),
      listFiles: () => [],
    })
    if (error) throw new Error(`codec: the ${flavour} kernels do not compile\n${stderr}`)
  }
  writeFileSync(stamp, hash)
}

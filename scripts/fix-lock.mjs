// Makes package-lock.json, ours and that of extras/, installable by `npm ci` everywhere. Run after every change of dependencies.
// 1. npm silently skips an optional package (and warns of any other) whose `engines` exclude the Node that runs npm
//    (say 20), though the project then runs on the bundled Node 24: drop `engines` of every package but our own.
// 2. npm >= 11 `npm ci` fails with EUSAGE «Missing: x@ from lock file» when the registry used for the lock
//    lacked an optional platform package: add entries for those (os/cpu/libc from the name, no integrity).
import { readFileSync, writeFileSync } from 'node:fs'

const changed = []
const os = {
  darwin: 'darwin',
  mac: 'darwin',
  linux: 'linux',
  win32: 'win32',
  win: 'win32',
  windows: 'win32',
  freebsd: 'freebsd',
  netbsd: 'netbsd',
  openbsd: 'openbsd',
  android: 'android',
  openharmony: 'openharmony',
  sunos: 'sunos',
  aix: 'aix',
  wasi: 'wasi',
  wasm32: 'wasi',
}
const cpu = {
  x64: 'x64',
  amd64: 'x64',
  arm64: 'arm64',
  arm: 'arm',
  armv7l: 'arm',
  ia32: 'ia32',
  ppc64: 'ppc64',
  s390x: 's390x',
  riscv64: 'riscv64',
  loong64: 'loong64',
  wasm32: 'wasm32',
}
for (const file of ['package-lock.json', 'extras/package-lock.json']) fix(new URL(`../${file}`, import.meta.url))
if (changed.length && process.argv.includes('--check')) {
  console.error(`${changed.join('\n')}\nrun: node scripts/fix-lock.mjs`)
  process.exit(1)
}
console.log(`fix-lock: ${changed.length} changed`)

function fix(f) {
  const before = changed.length
  const lock = JSON.parse(readFileSync(f, 'utf8'))
  const pk = lock.packages
  for (const [k, p] of Object.entries(pk))
    if (k && p.engines) {
      delete p.engines
      changed.push(`${k}: engines`)
    }
  const find = (from, name) => {
    for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
      const k = `${at ? `${at}/` : ''}node_modules/${name}`
      if (pk[k]) return k
      if (!at) return undefined
      if (!at.includes('/node_modules/')) {
        if (pk[`node_modules/${name}`]) return `node_modules/${name}`
        return undefined
      }
    }
  }
  for (const [k, p] of Object.entries({ ...pk }))
    for (const [name, range] of Object.entries(p.optionalDependencies ?? {})) {
      if (find(k, name) || !/^\d/.test(range)) continue
      const t = name.split(/[-/]/)
      const e = { version: range, optional: true }
      if (p.dev) e.dev = true
      const o = t.find((x) => x in os),
        c = t.find((x) => x in cpu)
      if (!o || !c) {
        console.error(`fix-lock: cannot tell the platform of ${name}`)
        process.exit(1)
      }
      e.os = [os[o]]
      e.cpu = [cpu[c]]
      if (o === 'linux' && t.includes('gnu')) e.libc = ['glibc']
      if (o === 'linux' && t.includes('musl')) e.libc = ['musl']
      pk[`node_modules/${name}`] = e
      changed.push(`${name}@${range}: added`)
    }
  lock.packages = Object.fromEntries(Object.entries(pk).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
  if (changed.length > before && !process.argv.includes('--check')) writeFileSync(f, `${JSON.stringify(lock, null, 2)}\n`)
}

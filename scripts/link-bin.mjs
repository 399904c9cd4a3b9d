// Root postinstall: (re)creates node_modules/.bin/node and node_modules/.bin/perigee.
// Hardhat 3 and the keepers need Node >= 22.13; a Node 24 comes from npm as a platform package. npm < 11 drops
// .bin/node when several platform packages share the name, so it is linked here from whichever one is installed.
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const bin = join(root, 'node_modules', '.bin')

function link(name, target) {
  mkdirSync(bin, { recursive: true })
  const at = join(bin, name)
  rmSync(at, { force: true })
  symlinkSync(relative(bin, target), at)
}

const bundled = ['node', 'node-bin'].map((p) => join(root, 'node_modules', `${p}-${process.platform}-${process.arch}`, 'bin', 'node')).find(existsSync)
const [major, minor] = process.versions.node.split('.').map(Number)
if (bundled) link('node', bundled)
else if (major < 22 || (major === 22 && minor < 13)) {
  console.error(`Node >= 22.13 is required, found ${process.version}, and npm has no Node package for ${process.platform}-${process.arch}.`)
  process.exit(1)
}

const perigee = join(root, 'sdk', 'cli', 'perigee.mjs')
if (existsSync(perigee)) {
  chmodSync(perigee, 0o755)
  link('perigee', perigee)
}

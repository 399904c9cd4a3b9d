// Runs the tests: Solidity, then every folder of test/ in a process of its own, so that none inherits another's state or memory.
// Usage: npm test [-- <path in test/> …]   for example `npm test -- contracts keepers/storage-node`
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const wanted = process.argv.slice(2).map((path) => path.replace(/^test\//, '').replace(/\/$/, ''))
const isWanted = (group: string) => wanted.length === 0 || wanted.some((path) => group === path || group.startsWith(`${path}/`) || path.startsWith(`${group}/`))

/** Test files by the folder they run with: the first under test/, or the second where keepers have one each. */
const groups = new Map<string, string[]>()
for (const file of globSync('**/*.test.ts', { cwd: join(root, 'test') }).sort()) {
  const folders = dirname(file).split('/')
  const group = folders.slice(0, folders[0] === 'keepers' ? 2 : 1).join('/')
  const narrowed = wanted.filter((path) => path.startsWith(`${group}/`))
  if (narrowed.length > 0 && !narrowed.some((path) => file.startsWith(path))) continue
  groups.set(group, [...(groups.get(group) ?? []), join('test', file)])
}

const runs: [string, string[]][] = []
if (isWanted('solidity')) runs.push(['solidity', ['test', 'solidity']])
for (const [group, files] of groups) if (isWanted(group)) runs.push([group, ['test', 'mocha', '--no-compile', ...files]])
if (runs.length === 0) {
  console.error(`no tests in ${wanted.join(', ')}: folders are ${['solidity', ...groups.keys()].join(', ')}`)
  process.exit(2)
}

/** Runs Hardhat, passes on what it prints, and gives its exit code with the part that tells what failed. */
async function hardhat(args: string[]): Promise<{ code: number | null; failures: string }> {
  const color = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}
  const env = { ...process.env, ...color, HARDHAT_DISABLE_TELEMETRY: 'true' }
  const child = spawn(process.execPath, [join(root, 'node_modules/hardhat/dist/src/cli.js'), ...args], { cwd: root, env, stdio: ['inherit', 'pipe', 'pipe'] })
  let output = ''
  for (const [from, to] of [[child.stdout, process.stdout] as const, [child.stderr, process.stderr] as const])
    from.setEncoding('utf8').on('data', (text: string) => {
      to.write(text)
      output += text
    })
  const [code] = (await once(child, 'close')) as [number | null]
  const start = output.search(/^.*\d+ failing\b/m)
  return { code, failures: output.slice(start < 0 ? -2000 : start) }
}

const results: string[] = []
const failures: string[] = []
for (const [group, args] of runs) {
  console.log(`\n── ${group}`)
  const started = Date.now()
  const run = await hardhat(args)
  if (run.code !== 0) failures.push(`── ${group}\n${run.failures.trimEnd()}`)
  results.push(`${run.code === 0 ? '✔' : '✘'} ${group.padEnd(26)}${((Date.now() - started) / 1000).toFixed(0).padStart(5)} s`)
}
// Once more at the end, where whoever reads a long log looks first.
console.log(`\n${[...failures, results.join('\n')].join('\n\n')}`)
process.exit(failures.length === 0 ? 0 : 1)

// Runs the tests: Solidity, then every folder of test/ in a process of its own, so that none inherits another's state or memory,
// and two at a time.
// Usage: npm test [-- <path in test/> …]   for example `npm test -- contracts keepers/storage-node`
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import PQueue from 'p-queue'

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

/** A group that has not ended by then never will: something of it is still open. */
const GROUP_MINUTES = 12

/** Runs Hardhat and gives its exit code and all it printed; passes it on meanwhile if `live`. */
async function hardhat(args: string[], live: boolean): Promise<{ code: number | null; output: string }> {
  const color = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}
  const env = { ...process.env, ...color, HARDHAT_DISABLE_TELEMETRY: 'true' }
  const child = spawn(process.execPath, [join(root, 'node_modules/hardhat/dist/src/cli.js'), ...args], { cwd: root, env, stdio: ['inherit', 'pipe', 'pipe'] })
  let output = ''
  for (const [from, to] of [[child.stdout, process.stdout] as const, [child.stderr, process.stderr] as const])
    from.setEncoding('utf8').on('data', (text: string) => {
      if (live) to.write(text)
      output += text
    })
  const limit = setTimeout(() => {
    output += `\nended by force after ${GROUP_MINUTES} minutes\n`
    child.kill('SIGKILL')
  }, GROUP_MINUTES * 60_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(limit)
  return { code, output }
}

/** The part of what a group printed that tells what failed. */
function failureOf(output: string): string {
  const start = output.search(/^.*\d+ failing\b/m)
  return output.slice(start < 0 ? -2000 : start).trimEnd()
}

const results: string[] = []
const failures: string[] = []

async function runGroup(group: string, args: string[], live: boolean): Promise<void> {
  const started = Date.now()
  if (live) console.log(`\n── ${group}`)
  const { code, output } = await hardhat(args, live)
  if (!live) console.log(`\n── ${group}\n${output.trimEnd()}`)
  if (code !== 0) failures.push(`── ${group}\n${failureOf(output)}`)
  results.push(`${code === 0 ? '✔' : '✘'} ${group.padEnd(26)}${((Date.now() - started) / 1000).toFixed(0).padStart(5)} s`)
}

// Much of a group's time is spent waiting for blocks and processes: two at once use the cores better. What several print must not mix.
const together = new PQueue({ concurrency: Math.min(2, availableParallelism()) })
for (const [group, args] of runs) void together.add(() => runGroup(group, args, runs.length === 1))
await together.onIdle()
// Once more at the end, where whoever reads a long log looks first.
console.log(`\n${[...failures, results.join('\n')].join('\n\n')}`)
process.exit(failures.length === 0 ? 0 : 1)

// Everything that can be said about the code in seconds, all at once: `npm run check`.
import { execFile } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { styleText } from 'node:util'

const root = join(import.meta.dirname, '..')
const script = (name: string, ...args: string[]) => ['node', '--import', './scripts/ts.mjs', `scripts/${name}.ts`, ...args]
const solidity = ['contracts/**/*.sol', 'test/**/*.sol']

const checks: Record<string, string[]> = {
  lockfile: ['node', 'scripts/fix-lock.mjs', '--check'],
  'TypeScript format and lint': ['biome', 'check', '.'],
  'Solidity format': ['prettier', '--check', '--log-level', 'warn', ...solidity],
  'Solidity lint': ['solhint', '--disc', '--noPoster', '--max-warnings', '0', 'contracts/**/*.sol'],
  types: ['tsc', '--noEmit'],
  'storage layouts': script('layouts', '--check'),
  'contract reference': script('reference', '--check'),
}

interface Outcome {
  ok: boolean
  output: string
  seconds: string
}

function run([command = '', ...args]: string[]): Promise<Outcome> {
  const started = performance.now()
  const env = { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}` }
  return new Promise((resolve) => {
    execFile(command, args, { cwd: root, env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      resolve({ ok: error === null, output: `${stdout}${stderr}`.trim(), seconds: ((performance.now() - started) / 1000).toFixed(1) }),
    )
  })
}

function report(name: string, { ok, output, seconds }: Outcome): boolean {
  console.log(`${ok ? styleText('green', 'pass') : styleText('red', 'FAIL')}  ${name} (${seconds} s)`)
  if (!ok) console.log(output)
  return ok
}

// Types, layouts and reference are read from what the build writes.
let ok = report('build', await run(['npm', 'run', '--silent', 'build']))
if (ok) {
  const results = await Promise.all(Object.entries(checks).map(async ([name, command]) => report(name, await run(command))))
  ok = results.every(Boolean)
}
process.exitCode = ok ? 0 : 1

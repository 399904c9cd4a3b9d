import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Builds the codec and the contracts, unless they are unchanged. */
export async function build(signal: AbortSignal): Promise<void> {
  await run(['codec/build.mjs'], signal)
  await run(['node_modules/hardhat/dist/src/cli.js', 'build', '--quiet'], signal)
}

function run(args: string[], signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, HARDHAT_DISABLE_TELEMETRY: 'true' },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  })
  let output = ''
  const collect = (chunk: Buffer) => {
    output += chunk.toString()
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  child.once('error', reject)
  child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`${args.join(' ')} failed with exit code ${code}:\n${output.trim()}`))))
  return promise
}

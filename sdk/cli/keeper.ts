import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { PerigeeError } from '../errors.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

export function keeperCommand(): Command {
  return new Command('keeper')
    .description('run one keeper until it is stopped')
    .argument('<module/role>', 'for example storage/node')
    .argument('[options...]', 'options of the keeper; --help after the role lists them')
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action(run)
}

/** The keeper is its own process: it is stopped by signals, and its exit code is ours. */
async function run(name: string, options: string[]): Promise<void> {
  const known = keepers()
  if (!known.includes(name)) throw new PerigeeError('USAGE', `there is no keeper ${name}`, { details: [`there are ${known.join(', ') || 'none'}`] })
  const main = join(root, 'keepers', name, 'main.ts')
  const child = spawn(process.execPath, ['--import', join(root, 'scripts', 'ts.mjs'), main, ...options], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)))
  })
}

function keepers(): string[] {
  return globSync('keepers/*/*/main.ts', { cwd: root })
    .map((file) => file.split(/[\\/]/).slice(1, 3).join('/'))
    .sort()
}

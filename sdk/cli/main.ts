import { Command, CommanderError } from 'commander'
import project from '../../package.json' with { type: 'json' }
import { computeCommand } from './compute/index.ts'
import { daCommand, daSubcommands } from './da/index.ts'
import { devnetCommand } from './devnet.ts'
import { exitCodeOf, exitCodes, fail } from './failure.ts'
import { keeperCommand } from './keeper.ts'
import { storageCommand } from './storage/index.ts'

/** Runs the command line and sets the exit code of the process. */
export async function main(argv: string[]): Promise<void> {
  const da = daCommand()
  const program = new Command('perigee')
    .description('Store files, ask models and publish blobs on a Perigee network, and run its keepers.')
    .version(project.version)
    .enablePositionalOptions()
    .addCommand(storageCommand())
    .addCommand(computeCommand())
    .addCommand(da)
    .addCommand(devnetCommand())
    .addCommand(keeperCommand())
    .addHelpText('after', `\nExit codes: ${exitCodes}`)
  if (argv.includes(da.name())) for (const command of await daSubcommands()) da.addCommand(command)
  for (const command of everyCommand(program)) command.exitOverride().showHelpAfterError('(--help shows what there is)')
  try {
    await program.parseAsync(argv)
  } catch (error) {
    // Commander has printed what is wrong with the arguments, or the help that was asked for.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
    else {
      fail(error, { json: argv.includes('--json') })
      process.exitCode = exitCodeOf(error)
    }
  }
}

function* everyCommand(command: Command): Generator<Command> {
  yield command
  for (const child of command.commands) yield* everyCommand(child)
}

import { Command, InvalidArgumentError } from 'commander'
import { DEFAULT_PORT_BASE, PORT_SPAN } from './layout.ts'
import { MODULES, type Module } from './modules.ts'

export interface Options {
  tour: boolean
  reset: boolean
  only: Module[]
  portBase: number
  blockTime: number
  dir: string
}

/** Reads the flags of `npm start`; prints usage and ends the process when they are wrong. */
export function readOptions(argv: string[]): Options {
  const command = new Command('npm start --')
    .description('runs a whole network on this machine until Ctrl-C')
    .option('--no-tour', 'do not show what the network does once it is up')
    .option('--reset', 'forget everything and start with an empty chain', false)
    .option('--only <modules>', `modules to start, separated by commas (${MODULES.join(', ')})`, modules, [...MODULES])
    .option('--port-base <port>', 'first of the ports to listen on; the chain is there', port, DEFAULT_PORT_BASE)
    .option('--block-time <seconds>', 'seconds between blocks when there is no transaction; 0: a block for every transaction only', seconds, 1)
    .option('--dir <folder>', 'where the network keeps its state', '.devnet')
    .allowExcessArguments(false)
  command.parse(argv, { from: 'user' })
  return command.opts<Options>()
}

function modules(text: string): Module[] {
  return text.split(',').map((name) => {
    const module = MODULES.find((known) => known === name.trim())
    if (!module) throw new InvalidArgumentError(`There is no module "${name}"; known: ${MODULES.join(', ')}.`)
    return module
  })
}

function port(text: string): number {
  const base = wholeNumber(text)
  const highest = 65_535 - PORT_SPAN
  if (base < 1 || base > highest) throw new InvalidArgumentError(`Expected a port between 1 and ${highest}.`)
  return base
}

function seconds(text: string): number {
  const time = wholeNumber(text)
  if (time > 3600) throw new InvalidArgumentError('Expected at most 3600 seconds.')
  return time
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.')
  return Number(text)
}

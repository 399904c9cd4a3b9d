import type { DevnetFile } from './devnet-file.ts'
import { LocalNetwork } from './network.ts'
import { readOptions } from './options.ts'
import { say } from './progress.ts'
import { overview } from './table.ts'

/** npm passes Ctrl-C on to what the terminal has already told: a second one counts only after this long. */
const SAME_SIGNAL_MS = 1000

const options = readOptions(process.argv.slice(2))
const network = new LocalNetwork(options, (report) => void end(1, report))

let endingSince: number | undefined

/** Stops everything and leaves. Every way out leads through here. */
async function end(code: number, message: string): Promise<void> {
  if (endingSince !== undefined) return
  endingSince = Date.now()
  console.error(`\n${message}`)
  try {
    await network.stop()
  } catch (error) {
    console.error(error)
    code = 1
  }
  process.exit(code)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (endingSince !== undefined && Date.now() - endingSince > SAME_SIGNAL_MS) process.exit(1)
    void end(0, 'stopping …')
  })

/** What goes wrong in the tour is told; the network stays up to be looked at. */
async function showTour(file: DevnetFile): Promise<void> {
  // Imported late: the contracts' types are made by the build.
  const { tour } = await import('./tour.ts')
  await tour(file, options.dir, options.only).catch((error: Error) => {
    if (endingSince === undefined) say(`the tour ended early: ${error.message}`)
  })
}

try {
  const file = await network.start()
  console.log(overview(file))
  say(`ready in ${(performance.now() / 1000).toFixed(1)} s · state and logs in ${options.dir} · Ctrl-C stops`)
  if (options.tour) await showTour(file)
} catch (error) {
  await end(1, (error as Error).message)
}

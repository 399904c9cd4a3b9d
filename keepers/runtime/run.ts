import { ConfigError, configHelp, loadConfig, printableConfig } from './config.ts'
import { createRuntime, type KeeperDefinition, openBackend } from './keeper.ts'
import { createLog, type Log } from './log.ts'

/** The fields of commonFields that starting a process needs. */
interface ProcessConfig {
  dataDir: string
  logLevel: string
  databaseUrl?: string | undefined
  redisUrl?: string | undefined
}

/** An orderly stop is given up after this, so that even on a busy machine the process is gone within the promised 10 s. */
const STOP_WITHIN_MS = 8500
const SAME_SIGNAL_MS = 300

/** A process that is one keeper: the whole of a main.ts. Ends with exit code 0 after SIGTERM or SIGINT, 1 on failure, 2 on bad configuration. */
export async function runKeeper(definition: KeeperDefinition<any>): Promise<void> {
  const argv = process.argv.slice(2)
  if (argv.includes('--help')) {
    process.stdout.write(configHelp(definition.name, definition.schema))
    return
  }
  let config: ProcessConfig
  try {
    config = loadConfig(definition.name, definition.schema, { argv, env: process.env }) as unknown as ProcessConfig
  } catch (error) {
    exitOnBadConfig(error)
  }
  const log = createLog({ name: definition.name, level: config.logLevel })
  const shutdown = installShutdown(log)
  try {
    log.info({ config: printableConfig(definition.schema, config as unknown as Record<string, unknown>) }, 'starting')
    const backend = await openBackend({ ...config, log })
    shutdown.defer(() => backend.close())
    const runtime = createRuntime({ name: definition.name, backend, log })
    shutdown.defer(() => runtime.close())
    const keeper = await definition.create(config, runtime)
    shutdown.defer(() => keeper.stop())
    await keeper.start()
    log.info({ url: keeper.url }, 'started')
  } catch (error) {
    if (error instanceof ConfigError) exitOnBadConfig(error)
    if (shutdown.stopping) return // what was being opened noticed the shutdown
    log.fatal({ err: error }, 'the keeper could not start')
    process.exit(1)
  }
}

function exitOnBadConfig(error: unknown): never {
  if (!(error instanceof ConfigError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exit(2)
}

export interface Shutdown {
  readonly stopping: boolean
  /** Adds something to do at shutdown; the newest is done first. */
  defer(stop: () => Promise<unknown>): void
}

/**
 * Turns SIGTERM and SIGINT into an orderly stop within 10 s; a second signal, or the time being up, ends the process at once.
 * What nobody handles is logged and ends the process with 1: the state after it is unknown, and a restart resumes from the cursor.
 */
export function installShutdown(log: Log): Shutdown {
  const stops: (() => Promise<unknown>)[] = []
  let stopping = false
  let since = 0
  const stop = async (signal: string) => {
    // Ctrl-C reaches every process of the terminal's group, and a parent may pass it on as well: that is one wish, not two.
    if (stopping && Date.now() - since < SAME_SIGNAL_MS) return
    if (stopping) {
      log.warn({ signal }, 'second signal: leaving at once')
      process.exit(1)
    }
    stopping = true
    since = Date.now()
    log.info({ signal }, 'stopping')
    setTimeout(() => {
      log.error({ ms: STOP_WITHIN_MS }, 'could not stop in time: leaving; unfinished jobs are taken up at the next start')
      process.exit(1)
    }, STOP_WITHIN_MS).unref()
    let code = 0
    for (const step of stops.reverse()) {
      await step().catch((error: unknown) => {
        log.error({ err: error }, 'a part failed to stop')
        code = 1
      })
    }
    log.info('stopped')
    process.exit(code)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, event === 'unhandledRejection' ? 'unhandled rejection' : 'uncaught exception')
      process.exit(1)
    })
  }
  return {
    get stopping() {
      return stopping
    },
    defer: (step) => void stops.push(step),
  }
}

import { type Backend, createRuntime, type Keeper, type Runtime } from '../keepers/runtime/keeper.ts'
import type { Log } from '../keepers/runtime/log.ts'
import type { ServiceUrls } from './devnet-file.ts'
import type { NetworkDescription, Service } from './service.ts'
import { services } from './services.ts'

export type { NetworkDescription } from './service.ts'

const READY_WITHIN_MS = 30_000
const READY_POLL_MS = 50

/** The keepers of a local network, in this process, on one database. */
export interface KeeperNetwork {
  urls: ServiceUrls
  /** Stops one keeper, as a machine that goes away. */
  stopKeeper(name: string): Promise<void>
  /** Starts it again on the state it had. */
  startKeeper(name: string): Promise<void>
  stop(): Promise<void>
}

export interface StartOptions {
  description: NetworkDescription
  /** Where all keepers keep their tables and jobs; left open. */
  backend: Backend
  log: Log
  /** Chooses keepers by name; all by default. */
  wanted?: (name: string) => boolean
}

interface Running {
  keeper: Keeper
  runtime: Runtime
}

/** Starts the keepers and waits until all of them are ready. */
export async function startKeepers({ description, backend, log, wanted = () => true }: StartOptions): Promise<KeeperNetwork> {
  const list = services(description).filter(({ name }) => wanted(name))
  const running = new Map<string, Running>()
  const stopKeeper = async (name: string) => {
    const { keeper, runtime } = running.get(name)!
    running.delete(name)
    await keeper.stop()
    await runtime.close()
  }
  const stop = async () => {
    // Those that depend on others stop first.
    for (const name of [...running.keys()].reverse())
      await stopKeeper(name).catch((error: unknown) => log.error({ err: error, keeper: name }, 'a keeper failed to stop'))
  }
  const startKeeper = async (service: Service) => {
    running.set(service.name, await start(service, backend, log))
  }
  try {
    for (const service of list) await startKeeper(service)
    await allReady(running)
  } catch (error) {
    await stop()
    throw error
  }
  const urls: ServiceUrls = {}
  for (const { name, publish } of list) {
    const { url } = running.get(name)!.keeper
    if (url) publish?.(urls, url)
  }
  return {
    urls,
    stopKeeper,
    async startKeeper(name) {
      await startKeeper(list.find((service) => service.name === name)!)
      await allReady(running)
    },
    stop,
  }
}

async function start({ name, definition, config, prepare }: Service, backend: Backend, log: Log): Promise<Running> {
  const runtime = createRuntime({ name, backend, log: log.child({ keeper: name }) })
  try {
    await prepare?.()
    const keeper = await definition.create(definition.schema.parse(config), runtime)
    await keeper.start()
    return { keeper, runtime }
  } catch (error) {
    await runtime.close()
    throw new Error(`${name} could not start: ${(error as Error).message}`, { cause: error })
  }
}

async function allReady(running: Map<string, Running>): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS
  for (const [name, { keeper }] of running)
    for (;;) {
      const reason = await keeper.ready()
      if (reason === undefined) break
      if (Date.now() > deadline) throw new Error(`${name} is not ready after ${READY_WITHIN_MS / 1000} s: ${reason}`)
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS))
    }
}

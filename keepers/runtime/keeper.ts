import { mkdirSync } from 'node:fs'
import type { Wallet } from 'ethers'
import type { Registry } from 'prom-client'
import type { z } from 'zod'
import { type Chain, type ChainOptions, createChain } from './chain.ts'
import type { ConfigSchema } from './config.ts'
import { type Database, type Migrations, openDatabase, openPostgres, type Postgres, schemaName } from './database.ts'
import { serveDeadLetters } from './dead-letters.ts'
import { createGrpc, type Grpc, type GrpcOptions } from './grpc.ts'
import { createHttp, type Http, type HttpOptions } from './http.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { openQueue, type Queue, type QueueOptions } from './queue.ts'
import { createSender, type Sender, type SenderOptions } from './sender.ts'

/** What runs: a storage node, an indexer … */
export interface Keeper {
  start(): Promise<void>
  /** Takes in no more work and finishes what is in hand; the runtime closes what came from it afterwards. */
  stop(): Promise<void>
  /** Why it can't serve now, or undefined when it can. */
  ready(): Promise<string | undefined>
  /** Where it serves, once started: the URL of its HTTP, or host:port of its gRPC. */
  readonly url?: string
}

export interface KeeperDefinition<S extends ConfigSchema = ConfigSchema> {
  /** "<module>/<role>", the folder under keepers/. */
  name: string
  schema: S
  create(config: z.output<S>, runtime: Runtime): Promise<Keeper>
}

/** Ties a keeper's name, configuration and factory together, with types. */
export const defineKeeper = <S extends ConfigSchema>(definition: KeeperDefinition<S>): KeeperDefinition<S> => definition

/** Where several keepers of one process keep their state: one PostgreSQL, embedded or not, and perhaps a Redis. */
export interface Backend {
  readonly postgres: Postgres
  readonly redisUrl: string | undefined
  close(): Promise<void>
}

export interface BackendOptions {
  /** Folder of the embedded PostgreSQL; in memory without it. */
  dataDir?: string | undefined
  databaseUrl?: string | undefined
  redisUrl?: string | undefined
  log: Log
}

export async function openBackend({ dataDir, databaseUrl, redisUrl, log }: BackendOptions): Promise<Backend> {
  if (dataDir !== undefined) mkdirSync(dataDir, { recursive: true })
  const postgres = await openPostgres({ dataDir, databaseUrl, log })
  return { postgres, redisUrl, close: () => postgres.close() }
}

/** What a keeper stands on. Everything obtained here is closed by `close`: servers and queues first, then the rest, the newest first. */
export interface Runtime {
  readonly name: string
  readonly log: Log
  readonly metrics: Registry
  /** Aborts when the runtime closes, once servers and queues have come to rest. */
  readonly signal: AbortSignal
  /** The keeper's own tables; call it once. */
  database<T = any>(migrations: Migrations): Promise<Database<T>>
  /** Jobs under this keeper's name. */
  queue<T>(name: string, options?: Partial<QueueOptions>): Promise<Queue<T>>
  chain(options: Pick<ChainOptions, 'rpcUrl'> & Partial<ChainOptions>): Promise<Chain>
  /** Transactions of one key; what it has sent is remembered in `database`. */
  sender(options: Pick<SenderOptions, 'interfaces' | 'database'> & Partial<SenderOptions> & { chain: Chain; wallet: Wallet }): Promise<Sender>
  http(options: Pick<HttpOptions, 'host' | 'port' | 'ready'> & Partial<HttpOptions>): Http
  grpc(options: Pick<GrpcOptions, 'host' | 'port' | 'ready' | 'services'> & Partial<GrpcOptions>): Grpc
  /** Adds something to close, after servers and queues. */
  onClose(close: () => Promise<unknown> | unknown): void
  close(): Promise<void>
}

export interface RuntimeOptions {
  /** Names the tables, jobs and metrics; two keepers on one backend need two names ("storage/node", "storage/node/1"). */
  name: string
  backend: Backend
  log: Log
}

export function createRuntime({ name, backend, log }: RuntimeOptions): Runtime {
  const controller = new AbortController()
  // What brings work in is closed before what the work needs, so that work in hand can be finished.
  const intake = new AsyncDisposableStack()
  const resources = new AsyncDisposableStack()
  const queues = new Map<string, Queue<any>>()
  const metrics = createMetrics(name)
  let closing: Promise<void> | undefined
  const opened = <R extends { close(): Promise<unknown> | unknown }>(resource: R, stack: AsyncDisposableStack): R => {
    stack.defer(async () => {
      await resource.close()
    })
    return resource
  }
  const close = async () => {
    try {
      await intake.disposeAsync()
    } finally {
      controller.abort()
      await resources.disposeAsync()
    }
  }
  return {
    name,
    log,
    metrics,
    signal: controller.signal,
    async database<T>(migrations: Migrations) {
      const database = await openDatabase<T>(backend.postgres, schemaName(name), migrations)
      resources.defer(() => database.destroy())
      return database
    },
    async queue<T>(queueName: string, options: Partial<QueueOptions> = {}) {
      const queue = opened(await openQueue<T>({ keeper: name, name: queueName, backend, log, metrics, ...options }), intake)
      queues.set(queueName, queue)
      return queue
    },
    chain: async (options) => opened(await createChain({ log, signal: controller.signal, ...options }), resources),
    sender: async (options) => opened(await createSender({ log, metrics, signal: controller.signal, ...options }), resources),
    http(options) {
      const http = opened(createHttp({ log, metrics, ...options }), intake)
      serveDeadLetters(http.app, queues)
      return http
    },
    grpc: (options) => opened(createGrpc({ log, metrics, ...options }), intake),
    onClose: (close) =>
      resources.defer(async () => {
        await close()
      }),
    close() {
      closing ??= close()
      return closing
    },
  }
}

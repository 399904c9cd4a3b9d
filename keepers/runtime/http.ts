import type { AddressInfo } from 'node:net'
import cors from '@fastify/cors'
import { type FastifyInstance, fastify, LogController } from 'fastify'
import type { Registry } from 'prom-client'
import { type Busy, ByteGate } from './byte-gate.ts'
import type { Log } from './log.ts'
import { gauge, histogram, processMetrics, SECONDS } from './metrics.ts'

export interface HttpOptions {
  host: string
  port: number
  log: Log
  metrics: Registry
  /** Why the keeper can't serve now, or undefined when it can. */
  ready: () => Promise<string | undefined>
  /** Largest request body, in bytes. */
  bodyLimit?: number
  /** Bodies in memory together, in bytes; the rest wait in their sockets. */
  maxBodyBytes?: number
  /** How long a body waits for that before it is refused, in ms. */
  patienceMs?: number
  /** Headers of answers that scripts of other sites may read, beyond those of ranges. */
  exposedHeaders?: readonly string[]
}

/** A keeper's HTTP server: register routes on `app`, then `listen`. */
export interface Http {
  readonly app: FastifyInstance
  /** Where it listens, with the real port. */
  readonly url: string
  listen(): Promise<string>
  close(): Promise<void>
}

const MEBIBYTE = 1024 * 1024
/** How long requests under way may take to finish when the server closes. */
const GRACE_MS = 3000

/** Fastify with CORS for browsers, /healthz (the process lives), /readyz (it can serve) and /metrics (Prometheus). */
export function createHttp(options: HttpOptions): Http {
  const { host, port, log, metrics, ready, bodyLimit = MEBIBYTE, maxBodyBytes = 64 * MEBIBYTE, patienceMs = 10_000, exposedHeaders = [] } = options
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    forceCloseConnections: 'idle',
    // Time to receive a whole request, against clients that send a byte now and then; waiting for room counts too.
    requestTimeout: 120_000 + patienceMs,
  }) as unknown as FastifyInstance
  void app.register(cors, {
    origin: '*',
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    exposedHeaders: ['content-range', 'accept-ranges', 'etag', 'x-flow-length', ...exposedHeaders],
  })
  boundBodies(app, new ByteGate(maxBodyBytes, patienceMs), bodyLimit, metrics)
  measure(app, metrics)

  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async (_request, reply) => {
    const reason = await ready().catch((error: Error) => error.message)
    return reason === undefined ? { status: 'ready' } : reply.code(503).send({ status: 'not ready', reason })
  })
  app.get('/metrics', async (_request, reply) => {
    // Not Registry.merge, which loses the labels that say which keeper it is.
    const parts = await Promise.all([processMetrics().metrics(), metrics.metrics()])
    return reply.type(metrics.contentType).send(parts.join('\n'))
  })

  return {
    app,
    get url() {
      const { port } = app.server.address() as AddressInfo
      return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
    },
    async listen() {
      try {
        // The default backlog of 511 makes a burst of a thousand clients wait for the kernel's retry.
        await app.listen({ host, port, backlog: 4096 })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
        throw new Error(`port ${port} on ${host} is taken: stop what listens there, or choose another with --port`, { cause: error })
      }
      return this.url
    },
    async close() {
      const timer = setTimeout(() => app.server.closeAllConnections(), GRACE_MS)
      await app.close()
      clearTimeout(timer)
    },
  }
}

/** Keeps bodies that don't fit together in their sockets, where TCP slows the senders down, rather than in memory. */
function boundBodies(app: FastifyInstance, gate: ByteGate, bodyLimit: number, metrics: Registry): void {
  gauge(metrics, {
    name: 'http_request_body_bytes',
    help: 'Request bodies in memory',
    collect() {
      this.set(gate.bytesInside)
    },
  })
  gauge(metrics, {
    name: 'http_requests_waiting',
    help: 'Requests waiting for room for their body',
    collect() {
      this.set(gate.waiting)
    },
  })
  app.addHook('onRequest', async (request, reply) => {
    const length = request.headers['content-length']
    const chunked = request.headers['transfer-encoding'] !== undefined
    const bytes = chunked ? bodyLimit : Math.min(Number(length ?? 0), bodyLimit)
    if (bytes === 0) return
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    const leave = await gate.enter(bytes, gone.signal).catch((error: Busy) => {
      throw Object.assign(error, { statusCode: 503 })
    })
    if (gone.signal.aborted) leave()
    else gone.signal.addEventListener('abort', leave, { once: true })
  })
}

function measure(app: FastifyInstance, metrics: Registry): void {
  const duration = histogram(metrics, {
    name: 'http_request_duration_seconds',
    help: 'Time from the request line to the last byte of the answer',
    labelNames: ['method', 'route', 'status'],
    buckets: SECONDS,
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    duration.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000)
  })
}

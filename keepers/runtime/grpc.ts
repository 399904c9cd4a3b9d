import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js'
import type { Registry } from 'prom-client'
import { guardedBy } from './grpc-call.ts'
import { type GrpcService, implementation } from './grpc-handler.ts'
import { healthOf, reflectionOf } from './grpc-introspection.ts'
import type { Log } from './log.ts'
import { counter } from './metrics.ts'

export interface GrpcOptions {
  host: string
  /** 0 takes a free one. */
  port: number
  log: Log
  metrics: Registry
  /** Why the keeper can't serve now, or undefined when it can; what grpc.health.v1 answers. */
  ready: () => Promise<string | undefined>
  /** Services of one proto package come from one load of its files, or reflection knows the first load alone. */
  services: readonly GrpcService[]
  /** Largest message in either direction, in bytes. */
  maxMessageBytes?: number
  /** Calls under way together, of all connections; those beyond are refused with RESOURCE_EXHAUSTED before anything of them is read. */
  maxCalls?: number
  /** How long a peer may leave us waiting for its message, or for taking ours, in ms. */
  patienceMs?: number
}

/** A keeper's gRPC server, without TLS. */
export interface Grpc {
  /** Where it listens, host:port, with the real port. */
  readonly url: string
  listen(): Promise<string>
  close(): Promise<void>
}

const MEBIBYTE = 1024 * 1024
/** Calls of one connection; a client that wants more waits. */
const MAX_STREAMS = 128
/** What a sender may send ahead of the reader: with HTTP/2's 64 KiB large messages stop and go. */
const WINDOW_BYTES = MEBIBYTE
/** How long calls under way may take to finish when the server closes. */
const GRACE_MS = 3000

/** Serves the services, and beside them grpc.health.v1 and reflection (v1 and v1alpha). */
export function createGrpc(options: GrpcOptions): Grpc {
  const { host, port, log, metrics, ready, services, maxMessageBytes = 4 * MEBIBYTE, maxCalls = 256, patienceMs = 120_000 } = options
  const closing = new AbortController()
  const server = new Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.max_concurrent_streams': MAX_STREAMS,
    'grpc-node.flow_control_window': WINDOW_BYTES,
    // A peer whose machine is gone never says so.
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
    interceptors: [guardedBy({ metrics, paths: pathsOf(services), maxCalls, patienceMs })],
  })
  const names = services.map(({ definition }) => nameOf(definition))
  for (const service of services) server.addService(counted(service, metrics), implementation(service.definition, service.handlers, log, closing.signal))
  const health = healthOf(names, ready, closing.signal)
  health.addTo(server)
  reflectionOf(services, names).addToServer(server)

  const shownHost = host.includes(':') ? `[${host}]` : host
  let bound: number | undefined
  return {
    get url() {
      if (bound === undefined) throw new Error('the gRPC server does not listen yet')
      return `${shownHost}:${bound}`
    },
    async listen() {
      bound = await bind(server, shownHost, port)
      health.start()
      return this.url
    },
    close() {
      closing.abort()
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(() => server.forceShutdown(), GRACE_MS)
      server.tryShutdown(() => {
        clearTimeout(timer)
        resolve()
      })
      return promise
    },
  }
}

function bind(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (!error) return resolve(bound)
      const taken = error.message.includes('EADDRINUSE')
      const message = taken ? `port ${port} on ${host} is taken: stop what listens there, or choose another with --port` : error.message
      reject(new Error(message, { cause: error }))
    })
  })
}

/** "perigee.da.v1.Signer": the first part of a method's path. */
const nameOf = (definition: ServiceDefinition): string => Object.values(definition)[0]!.path.split('/')[1]!

const pathsOf = (services: readonly GrpcService[]): ReadonlySet<string> =>
  new Set(services.flatMap(({ definition }) => Object.values(definition).map(({ path }) => path)))

/** The definition of a service, but it counts the bytes of messages, and reads no request that is too large. */
function counted({ definition, maxRequestBytes = {} }: GrpcService, metrics: Registry): ServiceDefinition {
  const received = counter(metrics, { name: 'grpc_received_bytes_total', help: 'Bytes of messages received', labelNames: ['method'] })
  const sent = counter(metrics, { name: 'grpc_sent_bytes_total', help: 'Bytes of messages sent', labelNames: ['method'] })
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const label = { method: method.path }
      const most = maxRequestBytes[name]
      const counting: typeof method = {
        ...method,
        requestDeserialize(bytes) {
          received.inc(label, bytes.length)
          if (most !== undefined && bytes.length > most) throw new Error(`the request has ${bytes.length} bytes: expected at most ${most}`)
          return method.requestDeserialize(bytes)
        },
        responseSerialize(message) {
          const bytes = method.responseSerialize(message)
          sent.inc(label, bytes.length)
          return bytes
        },
      }
      return [name, counting]
    }),
  )
}

import { Client, credentials, type deserialize, Metadata, type MethodDefinition, type ServiceError, type serialize, status } from '@grpc/grpc-js'
import { type ErrorCode, PerigeeError } from '../errors.ts'
import { type Anywhere, strangerChannel } from './strangers.ts'

/** Milliseconds a call may take unless its caller says otherwise. */
const TIMEOUT = 30_000

/** Bytes a server may send ahead of what was read: a portion of rows, so that distance costs no throughput. */
const FLOW_CONTROL_WINDOW = 4 * 1024 * 1024

const HOST_PORT = /^(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?):\d{1,5}$/i

export interface GrpcOptions {
  /** Bytes of a message. */
  maxReceive: number
  maxSend: number
  /** For what a stranger named: only public addresses are connected to, unless this says that any may be. */
  anywhere?: Anywhere | undefined
}

type Method = MethodDefinition<any, any>

export interface CallLimits {
  /** Milliseconds until the call fails with TIMEOUT. */
  timeout?: number
  signal?: AbortSignal | undefined
  /** Bytes of a message of the answer, where that is less than the channel receives. A list of nothings takes two bytes each, and hundreds once it is read. */
  maxReply?: number
}

/** A channel to one server whose calls are promises and async iterables, end in time, can be aborted, and fail with PerigeeError. */
export class GrpcClient {
  readonly url: string
  readonly #client: Client

  constructor(url: string, { maxReceive, maxSend, anywhere }: GrpcOptions) {
    // Other forms name other transports, such as sockets of this machine; addresses come from anyone who registers. So does `unix:1`, without a scheme.
    if (!HOST_PORT.test(url)) throw new PerigeeError('USAGE', `not the address of a gRPC server: ${url}`, { wayOut: 'It is host:port.' })
    this.url = url
    const { target, options } = anywhere ? strangerChannel(url, anywhere) : { target: `dns:${url}`, options: {} }
    this.#client = new Client(target, credentials.createInsecure(), {
      ...options,
      'grpc.max_receive_message_length': maxReceive,
      'grpc.max_send_message_length': maxSend,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
      'grpc.initial_reconnect_backoff_ms': 200,
      'grpc.max_reconnect_backoff_ms': 5_000,
      'grpc.enable_http_proxy': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc-node.flow_control_window': FLOW_CONTROL_WINDOW,
    })
  }

  unary<Reply>(method: Method, request: object, { timeout = TIMEOUT, signal, maxReply }: CallLimits = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const cancel = (): void => call.cancel()
      const call = this.#client.makeUnaryRequest(
        ...this.#call<Reply>(method, maxReply),
        request,
        new Metadata(),
        { deadline: Date.now() + timeout },
        (error, reply) => {
          signal?.removeEventListener('abort', cancel)
          if (error) reject(this.failure(error, signal))
          else resolve(reply as Reply)
        },
      )
      signal?.addEventListener('abort', cancel, { once: true })
    })
  }

  /** Messages of a stream as they come. Leaving the loop early cancels the call. */
  async *stream<Reply>(method: Method, request: object, { timeout = TIMEOUT, signal, maxReply }: CallLimits = {}): AsyncGenerator<Reply> {
    signal?.throwIfAborted()
    const call = this.#client.makeServerStreamRequest(...this.#call<Reply>(method, maxReply), request, new Metadata(), { deadline: Date.now() + timeout })
    const cancel = (): void => call.cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    // One that is cancelled says so once more when nobody reads it any longer.
    call.on('error', () => {})
    try {
      for await (const message of call) yield message
    } catch (error) {
      throw this.failure(error as ServiceError, signal)
    } finally {
      signal?.removeEventListener('abort', cancel)
      call.cancel()
    }
  }

  /** A stream both ways, as gRPC gives it. Its errors are for `failure`. */
  duplex<Request, Reply>(method: Method) {
    return this.#client.makeBidiStreamRequest<Request, Reply>(...this.#call<Reply>(method), new Metadata())
  }

  /** What a call's error means to whoever made it. */
  failure(error: ServiceError, signal?: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason
    if (error instanceof PerigeeError || error.code === undefined) return error
    return new PerigeeError(CODES[error.code] ?? 'REMOTE', `${this.url}: ${error.details || error.message}`, { cause: error })
  }

  close(): void {
    this.#client.close()
  }

  #call<Reply>({ path, requestSerialize, responseDeserialize }: Method, maxReply = Number.POSITIVE_INFINITY): [string, serialize<any>, deserialize<Reply>] {
    const read = (bytes: Buffer): Reply => {
      if (bytes.length > maxReply) throw new Error(`${bytes.length} bytes, where at most ${maxReply} can be`)
      return responseDeserialize(bytes)
    }
    return [path, requestSerialize, read]
  }
}

const CODES: Partial<Record<status, ErrorCode>> = {
  [status.NOT_FOUND]: 'NOT_FOUND',
  [status.INVALID_ARGUMENT]: 'USAGE',
  [status.DEADLINE_EXCEEDED]: 'TIMEOUT',
  [status.UNAVAILABLE]: 'NETWORK',
  [status.CANCELLED]: 'NETWORK',
}

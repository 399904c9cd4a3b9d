import type { EventEmitter } from 'node:events'
import {
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { messageTaken } from './grpc-call.ts'
import { GrpcError } from './grpc-error.ts'
import type { Log } from './log.ts'

/** What a handler may know of its call. */
export interface GrpcCall {
  /** Aborts when nobody waits for the answer any more: the caller is gone, or its deadline is over. */
  readonly signal: AbortSignal
  /** Address and port of the caller. */
  readonly peer: string
}

/**
 * Answers a call. What is given and what is answered follow the proto: a message, or for `stream` an AsyncIterable of them, so a handler of
 * streamed answers is an async generator. Throws GrpcError to refuse.
 */
export type GrpcHandler = (request: any, call: GrpcCall) => Promise<unknown> | AsyncIterable<unknown>

/** A service as its proto defines it (a definition by proto-loader), and a handler for each of its methods, by the proto's names. */
export interface GrpcService {
  definition: ServiceDefinition
  handlers: Readonly<Record<string, GrpcHandler>>
  /** Most bytes of a request of some methods, where that is less than a message may have. A list of nothings takes two bytes each, and hundreds once it is read. */
  maxRequestBytes?: Readonly<Record<string, number>>
}

type Readable = ServerReadableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>
type Writable = ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>
type AnyCall = ServerUnaryCall<unknown, unknown> | Readable | Writable

/** The handlers in the form the library wants them in, one for each method of the definition. */
export function implementation(
  definition: ServiceDefinition,
  handlers: Readonly<Record<string, GrpcHandler>>,
  log: Log,
  closing: AbortSignal,
): UntypedServiceImplementation {
  const entries = Object.entries(definition).map(([name, { path, requestStream, responseStream }]) => {
    const handler = handlers[name]
    if (!handler) throw new Error(`no handler for ${path}`)

    const serve = async (call: AnyCall, answer: (reply: unknown, signal: AbortSignal) => Promise<void>, refuse: (error: GrpcError) => void) => {
      const gone = new AbortController()
      ;(call as EventEmitter).once('cancelled', () => gone.abort())
      try {
        const request = requestStream ? messagesOf(call as Readable, gone.signal, closing) : (call as ServerUnaryCall<unknown, unknown>).request
        await answer(await handler(request, { signal: gone.signal, peer: call.getPeer() }), gone.signal)
      } catch (error) {
        if (gone.signal.aborted && !(error instanceof GrpcError)) return refuse(new GrpcError(status.CANCELLED, 'cancelled'))
        if (!(error instanceof GrpcError)) log.error({ err: error, method: path }, 'a call failed')
        refuse(error instanceof GrpcError ? error : new GrpcError(status.INTERNAL, 'internal error'))
      }
    }
    const toOne = (call: AnyCall, callback: sendUnaryData<unknown>) =>
      serve(
        call,
        async (reply) => callback(null, reply as object),
        ({ code, message }) => callback({ code, details: message }),
      )
    const toStream = (call: Writable) =>
      serve(
        call,
        async (replies, signal) => {
          for await (const reply of replies as AsyncIterable<unknown>) await written(call, reply, signal)
          call.end()
        },
        ({ code, message }) => call.emit('error', Object.assign(new Error(message), { code, details: message })),
      )
    return [name, responseStream ? toStream : toOne]
  })
  return Object.fromEntries(entries)
}

/** The messages of a streaming call. When the server closes, or the caller is gone, the handler is told instead of getting the next one. */
async function* messagesOf(call: Readable, gone: AbortSignal, closing: AbortSignal): AsyncGenerator<unknown> {
  const { promise: interrupted, reject } = Promise.withResolvers<never>()
  interrupted.catch(() => {})
  const onClosing = () => reject(GrpcError.unavailable('shutting down'))
  if (closing.aborted) onClosing()
  closing.addEventListener('abort', onClosing, { once: true })
  gone.addEventListener('abort', () => reject(gone.reason), { once: true })
  // Destroyed on return, as is usual, the call could not be answered any more.
  const messages = call.iterator({ destroyOnReturn: false })
  try {
    for (;;) {
      const { done, value } = await Promise.race([messages.next(), interrupted])
      if (done) return
      messageTaken(call.metadata)
      yield value
    }
  } finally {
    closing.removeEventListener('abort', onClosing)
  }
}

/** Resolves once the message is on its way, so that a slow reader slows the handler down. */
function written(call: Writable, message: unknown, gone: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    gone.throwIfAborted()
    const giveUp = () => reject(gone.reason)
    gone.addEventListener('abort', giveUp, { once: true })
    call.write(message, () => {
      gone.removeEventListener('abort', giveUp)
      resolve()
    })
  })
}

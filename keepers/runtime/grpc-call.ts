import { type Metadata, ServerInterceptingCall, type ServerInterceptingCallInterface, type ServerInterceptor, status } from '@grpc/grpc-js'
import type { Registry } from 'prom-client'
import { gauge, histogram, SECONDS } from './metrics.ts'

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0]
type Status = Parameters<ServerInterceptingCallInterface['sendStatus']>[0]

export interface GuardOptions {
  metrics: Registry
  /** Methods whose calls are limited: those of the keeper, not health and reflection. */
  paths: ReadonlySet<string>
  maxCalls: number
  patienceMs: number
}

/** Limits and measures every call, before anything of it is read. */
export function guardedBy({ metrics, paths, maxCalls, patienceMs }: GuardOptions): ServerInterceptor {
  let open = 0
  const duration = histogram(metrics, {
    name: 'grpc_call_duration_seconds',
    help: 'Time from the start of a call to its status',
    labelNames: ['method', 'code'],
    buckets: SECONDS,
  })
  gauge(metrics, {
    name: 'grpc_calls',
    help: 'Calls under way',
    collect() {
      this.set(open)
    },
  })
  return ({ path, requestStream }, call) => {
    const full = paths.has(path) && open >= maxCalls
    const stop = duration.startTimer({ method: path })
    open++
    return new GuardedCall(call, {
      refusal: full ? `more than ${maxCalls} calls at once: try again in a moment` : undefined,
      oneByOne: requestStream,
      patienceMs,
      done(code) {
        open--
        stop({ code: status[code] ?? String(code) })
      },
    })
  }
}

interface Terms {
  refusal: string | undefined
  /** Whether messages are read one by one, as the handler takes them. */
  oneByOne: boolean
  patienceMs: number
  done: (code: status) => void
}

const calls = new WeakMap<Metadata, GuardedCall>()

/** Tells a streaming call that its handler has taken a message: only now the next one is read. The metadata is what both sides see of a call. */
export function messageTaken(metadata: Metadata): void {
  calls.get(metadata)?.messageTaken()
}

/**
 * grpc-js reads sixteen messages ahead of a handler, which for large ones is too much memory: here the next is read when the last was taken.
 * And a peer that leaves us waiting, for its message or for taking ours, is given up.
 */
class GuardedCall extends ServerInterceptingCall {
  readonly #terms: Terms
  #reading: NodeJS.Timeout | undefined
  #writing: NodeJS.Timeout | undefined
  #ended = false
  #untaken = 0
  #wanted = false

  constructor(call: ServerInterceptingCallInterface, terms: Terms) {
    super(call)
    this.#terms = terms
  }

  override start(listener: Listener): void {
    const { refusal } = this.#terms
    if (refusal !== undefined) {
      this.sendStatus({ code: status.RESOURCE_EXHAUSTED, details: refusal })
      return
    }
    super.start({
      onReceiveMetadata: (metadata) => {
        calls.set(metadata, this)
        listener.onReceiveMetadata(metadata)
      },
      onReceiveMessage: (message) => {
        clearTimeout(this.#reading)
        if (this.#terms.oneByOne) this.#untaken++
        listener.onReceiveMessage(message)
      },
      onReceiveHalfClose: () => {
        clearTimeout(this.#reading)
        listener.onReceiveHalfClose()
      },
      onCancel: () => {
        // The library itself ends calls whose deadline is over and those with too large a message; then, too, this is all we hear.
        this.#end(Number(this.getDeadline()) <= Date.now() ? status.DEADLINE_EXCEEDED : status.CANCELLED)
        listener.onCancel()
      },
    })
  }

  override startRead(): void {
    if (this.#untaken > 0) {
      this.#wanted = true
      return
    }
    this.#reading = this.#giveUpLater(this.#reading, 'nothing came')
    super.startRead()
  }

  messageTaken(): void {
    this.#untaken--
    if (!this.#wanted) return
    this.#wanted = false
    this.startRead()
  }

  override sendMessage(message: unknown, callback: () => void): void {
    this.#writing = this.#giveUpLater(this.#writing, 'the answer was not taken')
    super.sendMessage(message, () => {
      clearTimeout(this.#writing)
      callback()
    })
  }

  override sendStatus(given: Status): void {
    this.#end(given.code ?? status.UNKNOWN)
    super.sendStatus(given)
  }

  /** Not once the call has ended: the answer to a caller that is gone is never taken. */
  #giveUpLater(earlier: NodeJS.Timeout | undefined, what: string): NodeJS.Timeout | undefined {
    clearTimeout(earlier)
    if (this.#ended) return undefined
    const { patienceMs } = this.#terms
    return setTimeout(() => this.sendStatus({ code: status.DEADLINE_EXCEEDED, details: `${what} for ${patienceMs} ms` }), patienceMs)
  }

  #end(code: status): void {
    clearTimeout(this.#reading)
    clearTimeout(this.#writing)
    if (this.#ended) return
    this.#ended = true
    this.#terms.done(code)
  }
}

import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { Usage } from '../../../../protocol/compute/units.ts'
import { BackendError } from './backend.ts'
import { usageOf } from './usage.ts'

/** No token of anybody's is larger, with all its logprobs. */
const MAX_EVENT_CHARS = 4 * 1024 * 1024
export const DONE = '[DONE]'

/** An event in the one form in which this provider sends them. */
export const frame = (data: string): string => `${data.replaceAll(/^/gm, 'data: ')}\n\n`

export interface EventStreamOptions {
  bytes: AsyncIterable<Uint8Array>
  /** The client asked for the chunk that holds the usage; otherwise it is left out. */
  wantsUsage: boolean
}

/**
 * The events of an answer that a backend streams. Data pass as they came; framing is made anew, since a chunk of usage that the client did not
 * ask for is taken out. The stream is whole when it ends with `[DONE]` and has told its usage.
 */
export class EventStream {
  readonly #options: EventStreamOptions
  readonly #text = new TextDecoder('utf-8', { fatal: true })
  readonly #parser
  #ready: string[] = []
  #usage: Usage | undefined
  #done = false
  #fault: BackendError | undefined

  constructor(options: EventStreamOptions) {
    this.#options = options
    this.#parser = createParser({
      onEvent: (event) => this.#take(event),
      onComment: (comment) => {
        if (!this.#done) this.#ready.push(`: ${comment}\n\n`)
      },
      onError: (error) => {
        if (error.type === 'max-buffer-size-exceeded') this.#fail('garbage', 'the backend sent an event without end', error)
      },
      maxBufferSize: MAX_EVENT_CHARS,
    })
  }

  /** What the answer took. @throws BackendError no-usage while the stream is not whole */
  usage(): Usage {
    if (!this.#done || !this.#usage) throw new BackendError('no-usage', 'the answer has not ended')
    return this.#usage
  }

  /** The answer's bytes for the client. @throws BackendError died, garbage, no-usage */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const bytes of this.#options.bytes) {
      try {
        this.#parser.feed(this.#text.decode(bytes, { stream: true }))
      } catch (cause) {
        this.#fail('garbage', 'the backend sent what is not UTF-8', cause)
      }
      if (this.#ready.length > 0) yield Buffer.from(this.#ready.splice(0).join(''))
      if (this.#fault) throw this.#fault
      if (this.#done) return
    }
    throw new BackendError('died', 'the backend ended its answer in the middle')
  }

  #take({ data, event }: EventSourceMessage): void {
    if (this.#fault || this.#done) return
    if (data === DONE) {
      this.#end()
      return
    }
    if (event === 'error' || data.startsWith('{"error"')) {
      this.#fail('died', `the backend broke off: ${data.slice(0, 300)}`)
      return
    }
    if (/"usage"\s*:\s*\{/.test(data) && this.#isOnlyUsage(data) && !this.#options.wantsUsage) return
    this.#ready.push(frame(data))
  }

  /** Notes the usage in a chunk; whether the chunk holds nothing else. */
  #isOnlyUsage(data: string): boolean {
    let chunk: { usage?: unknown; choices?: unknown }
    try {
      chunk = JSON.parse(data)
    } catch (cause) {
      this.#fail('garbage', 'the backend sent a chunk that is not JSON', cause)
      return true
    }
    // A message may contain the word; only a member of the chunk is meant.
    if (typeof chunk.usage !== 'object' || chunk.usage === null) return false
    try {
      this.#usage = usageOf(chunk.usage)
    } catch (error) {
      this.#fault ??= error as BackendError
    }
    return !Array.isArray(chunk.choices) || chunk.choices.length === 0
  }

  #end(): void {
    if (!this.#usage) {
      this.#fail('no-usage', 'the backend streamed an answer without saying what it took')
      return
    }
    this.#done = true
    this.#ready.push(frame(DONE))
  }

  #fail(code: 'died' | 'garbage' | 'no-usage', message: string, cause?: unknown): void {
    this.#fault ??= new BackendError(code, message, { cause })
  }
}

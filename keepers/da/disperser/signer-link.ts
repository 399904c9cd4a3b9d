import type { Anywhere } from '../../../sdk/da/strangers.ts'
import { connectSigner, type SignerClient, type SignReply, type SignRequest, type StoreRequest } from '../../../sdk/da/wire.ts'
import { reasonOf } from '../../../sdk/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { Refused } from './gather.ts'

/** What is to be stored: made into a message only when it is its turn, so that what waits takes no memory. */
export interface StoreItem {
  /** Bytes of the message, about. */
  bytes: number
  message: () => StoreRequest
  /** Takes it back while it waits. */
  signal: AbortSignal
}

export interface SignerLinkOptions {
  account: string
  /** Where it serves now, host:port. */
  url: () => Promise<string>
  /** Whether that may be a private address. */
  anywhere: Anywhere
  /** Bytes that are sent and not answered, in all; one larger message goes alone. */
  windowBytes: number
  /** How long a message may take to be answered, in ms; the stream is given up then. */
  timeoutMs: number
  /** A signer whose oldest unanswered message is older than this lags, in ms. */
  lagMs: number
  log: Log
}

type Stream = ReturnType<SignerClient['store']>
interface Connection {
  client: SignerClient
  stream: Stream
}

interface Waiting {
  item: StoreItem
  done: (sent: Promise<void>) => void
}

const FIRST_BACKOFF_MS = 250
const MOST_BACKOFF_MS = 10_000

/** One signer: a stream of blobs that it stores, with a window of its own, opened anew after a failure. */
export class SignerLink {
  readonly #options: SignerLinkOptions
  readonly #waiting = new Set<Waiting>()
  /** When those on their way were sent. */
  readonly #sentAt = new Set<{ at: number }>()
  #connection: Promise<Connection> | undefined
  #current: Connection | undefined
  #bytes = 0
  #backoff = FIRST_BACKOFF_MS
  #downUntil = 0
  #trouble = ''

  constructor(options: SignerLinkOptions) {
    this.#options = options
  }

  /** Whether it takes so long that others should not wait for it. */
  get lagging(): boolean {
    const [oldest] = this.#sentAt
    return oldest !== undefined && Date.now() - oldest.at > this.#options.lagMs
  }

  /** Resolves once the signer has it on disk. @throws Refused with the signer's reason; anything else when it could not be asked */
  store(item: StoreItem): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const entry: Waiting = { item, done: resolve }
    const takeBack = () => {
      if (this.#waiting.delete(entry)) resolve(Promise.reject(item.signal.reason))
    }
    if (this.#isDown()) return Promise.reject(new Error(this.#trouble))
    this.#waiting.add(entry)
    item.signal.addEventListener('abort', takeBack, { once: true })
    this.#pump()
    return promise.finally(() => item.signal.removeEventListener('abort', takeBack))
  }

  async sign(request: SignRequest, signal: AbortSignal): Promise<SignReply> {
    if (this.#isDown()) throw new Error(this.#trouble)
    const { client } = await this.#connect()
    return client.sign(request, { timeout: this.#options.timeoutMs, signal })
  }

  close(): void {
    this.#drop(new Error('closing'))
  }

  #isDown(): boolean {
    return Date.now() < this.#downUntil
  }

  #pump(): void {
    for (const entry of this.#waiting) {
      const { bytes } = entry.item
      if (this.#bytes > 0 && this.#bytes + bytes > this.#options.windowBytes) return
      this.#waiting.delete(entry)
      this.#bytes += bytes
      const sent = { at: Date.now() }
      this.#sentAt.add(sent)
      entry.done(
        this.#send(entry.item).finally(() => {
          this.#bytes -= bytes
          this.#sentAt.delete(sent)
          this.#pump()
        }),
      )
    }
  }

  async #send(item: StoreItem): Promise<void> {
    const connecting = this.#connect()
    const { stream } = await connecting.catch((error) => {
      this.#failed(connecting, error)
      throw error
    })
    item.signal.throwIfAborted() // the blob may be gone by now
    const sent = stream.send(item.message(), { timeout: this.#options.timeoutMs }).catch((error) => {
      if (!stream.open) this.#failed(connecting, error)
      throw error
    })
    const { error } = await sent
    this.#backoff = FIRST_BACKOFF_MS
    if (error !== '') throw new Refused(error)
  }

  #connect(): Promise<Connection> {
    // One that the signer has ended meanwhile says nothing about how it is now.
    if (this.#current && !this.#current.stream.open) this.#disconnect()
    this.#connection ??= this.#options.url().then((url) => {
      const client = connectSigner(url, { anywhere: this.#options.anywhere })
      this.#current = { client, stream: client.store() }
      return this.#current
    })
    return this.#connection
  }

  /** Nothing is sent for a while, ever longer; what waits goes on without this signer. */
  #failed(connection: Promise<Connection>, error: unknown): void {
    if (this.#connection !== connection) return // another message noticed before
    const { account, log } = this.#options
    this.#trouble = reasonOf(error)
    this.#downUntil = Date.now() + this.#backoff
    this.#backoff = Math.min(2 * this.#backoff, MOST_BACKOFF_MS)
    log.warn({ signer: account, reason: this.#trouble }, 'a signer can not be reached: going on without it')
    this.#drop(error)
  }

  #drop(error: unknown): void {
    this.#disconnect()
    for (const entry of this.#waiting) entry.done(Promise.reject(error))
    this.#waiting.clear()
  }

  #disconnect(): void {
    this.#current?.stream.end()
    this.#current?.client.close()
    this.#current = undefined
    this.#connection = undefined
  }
}

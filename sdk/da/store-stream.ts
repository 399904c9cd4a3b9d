import type { ClientDuplexStream, MethodDefinition, ServiceError } from '@grpc/grpc-js'
import { PerigeeError } from '../errors.ts'
import type { GrpcClient } from './grpc-client.ts'
import type { StoreReply, StoreRequest } from './wire/types.ts'

interface Waiting {
  resolve: (reply: StoreReply) => void
  reject: (error: unknown) => void
}

/** Blobs on their way to one signer. It answers in order; once the stream breaks, all that wait fail, and so does whatever is sent later. */
export class StoreStream {
  readonly #client: GrpcClient
  readonly #call: ClientDuplexStream<StoreRequest, StoreReply>
  readonly #waiting: Waiting[] = []
  #failure: unknown

  constructor(client: GrpcClient, method: MethodDefinition<any, any>, { signal }: { signal?: AbortSignal | undefined } = {}) {
    signal?.throwIfAborted()
    this.#client = client
    this.#call = client.duplex(method)
    const cancel = (): void => this.#call.cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    this.#call.on('data', (reply: StoreReply) => this.#waiting.shift()?.resolve(reply))
    const ended = (error: unknown): void => {
      signal?.removeEventListener('abort', cancel)
      this.#failure ??= error
      for (const { reject } of this.#waiting.splice(0)) reject(this.#failure)
    }
    this.#call.on('error', (error: ServiceError) => ended(this.#client.failure(error, signal)))
    this.#call.on('end', () => ended(new PerigeeError('NETWORK', `${client.url}: the stream has ended`)))
  }

  /** False once the stream is broken or closed: open another. */
  get open(): boolean {
    return this.#failure === undefined
  }

  /**
   * Sends a blob's rows; resolves to the signer's answer, whose `error` says why it did not store them.
   * @throws PerigeeError when the stream breaks, or TIMEOUT after so many milliseconds, which breaks it.
   */
  async send(request: StoreRequest, { timeout }: { timeout: number }): Promise<StoreReply> {
    if (!this.open) throw this.#failure
    const timer = setTimeout(() => this.#abandon(timeout), timeout)
    try {
      return await new Promise<StoreReply>((resolve, reject) => {
        this.#waiting.push({ resolve, reject })
        this.#call.write(request)
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /** Says that nothing more comes. What was sent is still answered. */
  end(): void {
    this.#call.end()
  }

  #abandon(timeout: number): void {
    this.#failure ??= new PerigeeError('TIMEOUT', `${this.#client.url}: no answer within ${timeout / 1000} s`)
    this.#call.cancel()
  }
}

import { once } from 'node:events'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

/** The way to one client, who may go away at any time. */
export class Outlet {
  readonly #raw: ServerResponse
  readonly #patienceMs: number
  readonly #left = new AbortController()

  /** @param patienceMs how long the client may take nothing before it counts as gone */
  constructor(raw: ServerResponse, patienceMs: number) {
    this.#raw = raw
    this.#patienceMs = patienceMs
    raw.once('close', () => {
      if (!raw.writableFinished) this.#left.abort()
    })
  }

  /** Aborts when the client goes away before it has its answer. */
  get left(): AbortSignal {
    return this.#left.signal
  }

  get begun(): boolean {
    return this.#raw.headersSent
  }

  begin(headers: OutgoingHttpHeaders): void {
    if (this.left.aborted) return
    this.#raw.writeHead(200, headers)
    // A token is to leave when it is written, not when the next one comes.
    this.#raw.socket?.setNoDelay(true)
  }

  /** Resolves when the client keeps up, or is gone. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.left.aborted || bytes.length === 0 || this.#raw.write(bytes)) return
    const signal = AbortSignal.any([this.left, AbortSignal.timeout(this.#patienceMs)])
    await once(this.#raw, 'drain', { signal }).catch(() => {
      this.#raw.destroy()
      this.#left.abort()
    })
  }

  end(bytes: Uint8Array): undefined {
    if (this.left.aborted) return
    this.#raw.end(bytes)
  }
}

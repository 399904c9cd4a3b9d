import pRetry, { AbortError } from 'p-retry'
import { request } from 'undici'
import { z } from 'zod'
import { LOAD_SIZE } from '../../../protocol/storage/sealing.ts'

const Hash = z.string().regex(/^0x[0-9a-f]{64}$/)
const SectorProof = z.object({ lemma: z.array(Hash).min(1), path: z.array(z.boolean()) })
const Answer = z.object({ result: z.unknown().optional(), error: z.object({ message: z.string(), data: z.unknown().optional() }).optional() })

/** Levels of the log's tree below the node of a seal's 16 sectors. */
const LEVELS_IN_SEAL = 4

/** The storage node whose data a miner mines. */
export class StorageNode {
  readonly #url: string
  readonly #signal: AbortSignal

  constructor(url: string, signal: AbortSignal) {
    this.#url = url.replace(/\/$/, '')
    this.#signal = signal
  }

  /** The 262,144 bytes of a load, or undefined while the node has not got all of them. */
  async load(load: number): Promise<Uint8Array | undefined> {
    const { statusCode, body } = await request(`${this.#url}/flow/loads/${load}`, { signal: this.#signal, headersTimeout: 30_000, bodyTimeout: 30_000 })
    if (statusCode === 404) {
      await body.dump()
      return undefined
    }
    if (statusCode !== 200) throw new Error(`${this.#url} answered ${statusCode} for load ${load}: ${(await body.text()).slice(0, 200)}`)
    const bytes = await body.bytes()
    if (bytes.length !== LOAD_SIZE) throw new Error(`${this.#url} answered ${bytes.length} bytes for load ${load}, not ${LOAD_SIZE}`)
    return bytes
  }

  /**
   * Siblings from the node of a seal up to `flowRoot`. Asks again for a while: the node may not have seen the block yet.
   * @param sector the seal's first
   */
  sealProof(sector: number, flowRoot: string): Promise<Uint8Array[]> {
    return pRetry(
      async () => {
        const { statusCode, body } = await request(this.#url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'zgs_getSectorProof', params: [sector, flowRoot] }),
          signal: this.#signal,
        })
        if (statusCode !== 200) throw new Error(`${this.#url} answered ${statusCode}: ${(await body.text()).slice(0, 200)}`)
        const { result, error } = Answer.parse(await body.json())
        if (error) throw new Error(`${this.#url} has no proof for sector ${sector}: ${error.message} ${error.data ?? ''}`)
        const proof = SectorProof.safeParse(result)
        if (!proof.success || proof.data.lemma.length !== proof.data.path.length + 2 || proof.data.path.length < LEVELS_IN_SEAL)
          throw new AbortError(`${this.#url} answered something that is no proof for sector ${sector}`)
        // The list begins with the sector itself and ends with the root.
        return proof.data.lemma.slice(1 + LEVELS_IN_SEAL, -1).map((hash) => new Uint8Array(Buffer.from(hash.slice(2), 'hex')))
      },
      { retries: 5, minTimeout: 200, maxTimeout: 1000, signal: this.#signal },
    )
  }
}

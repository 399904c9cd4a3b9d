import { getBytes } from 'ethers'
import { LOAD_SEALS, LOAD_SECTORS, SEAL_SECTORS } from '../../../protocol/storage/sealing.ts'
import type { Flow } from '../../../typechain-types/index.ts'

interface Range {
  start: number
  end: number
  digest: Uint8Array
}

/** Which context every sector is sealed under. Ranges that an epoch has closed do not change, unless the chain is reorganised. */
export class SealingContexts {
  readonly #flow: Flow
  #recent: Range | undefined

  constructor(flow: Flow) {
    this.#flow = flow
  }

  /** The digests for the 64 seals of a load, or undefined while an epoch has yet to be opened over its end. */
  async of(load: number): Promise<Uint8Array | undefined> {
    const digests = new Uint8Array(32 * LOAD_SEALS)
    for (let seal = 0; seal < LOAD_SEALS; seal++) {
      const range = await this.#at(load * LOAD_SECTORS + (seal + 1) * SEAL_SECTORS - 1)
      if (!range) return undefined
      digests.set(range.digest, 32 * seal)
    }
    return digests
  }

  /** Forgets what it knows: a digest was not that of the chain. */
  reset(): void {
    this.#recent = undefined
  }

  async #at(sector: number): Promise<Range | undefined> {
    if (this.#recent && sector >= this.#recent.start && sector < this.#recent.end) return this.#recent
    const { start, end, digest } = await this.#flow.queryContextAtPosition(sector)
    if (sector >= Number(end)) return undefined
    this.#recent = { start: Number(start), end: Number(end), digest: getBytes(digest) }
    return this.#recent
  }
}

/** A round of the lottery. */
export interface Round {
  number: number
  /** Hex of 32 bytes. */
  seed: string
  /** What a quality must not exceed. */
  target: bigint
  /** The last block in which it can be answered. */
  lastBlock: number
}

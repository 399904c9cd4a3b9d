import { hash } from 'node:crypto'
import type { Kernel } from '../../codec/keccak/index.ts'
import { LOAD_SECTORS, LOAD_SIZE, SEAL_SIZE, word } from './sealing.ts'

/** Most sectors that one shard mines (8 TiB). */
export const MAX_SHARD_SECTORS = 2 ** 35
/** A mined range starts at a multiple of this many sectors. */
export const RANGE_ALIGNMENT = 2 ** 25
/** Bytes of the pad that a nonce grows; a seal is mixed with one of its four quarters. */
export const SCRATCHPAD_SIZE = 16_384

const SEAL_WORDS = SEAL_SIZE / 4

/** The part of the log that is mined, in sectors. Of its loads, shard k of n takes those whose number is k modulo n. */
export interface RecallRange {
  startPosition: number
  mineLength: number
  shardId: number
  numShards: number
}

/** What the nonces of a miner are tried against until the next epoch or subtask. */
export interface PoraTask {
  minerId: Uint8Array
  subtaskDigest: Uint8Array
  range: RecallRange
  rangeDigest: Uint8Array
}

/** What a nonce fixes before any data is read. */
export interface Draw {
  nonce: Uint8Array
  /** 64 bytes. */
  seed: Uint8Array
  /** 16,384 bytes. */
  pad: Uint8Array
  /** First sector of the load that is recalled. */
  load: number
}

export interface Ticket {
  sealOffset: number
  quality: Uint8Array
}

/** The range that shard `shardId` of `numShards` may mine in a log of `flowLength` sectors; none before a whole load is stored. */
export function recallRange(flowLength: number, shardId: number, numShards: number): RecallRange | undefined {
  const whole = flowLength - (flowLength % LOAD_SECTORS)
  if (whole === 0) return undefined
  return { startPosition: 0, mineLength: Math.min(whole, MAX_SHARD_SECTORS * numShards), shardId, numShards }
}

/** The mask of a shard as the contract takes it: 64 bits, all set but those that say which shard a load belongs to. */
export const shardMask = (numShards: number): bigint => 2n ** 64n - BigInt(numShards)

/** keccak256 of the four fields as 32-byte words. */
export function rangeDigest(kernel: Kernel, range: RecallRange): Uint8Array {
  const bytes = new Uint8Array(128)
  const fields = [range.startPosition, range.mineLength, range.shardId, shardMask(range.numShards)]
  fields.forEach((field, i) => {
    bytes.set(word(field), 32 * i)
  })
  return kernel.keccak256(bytes)
}

/** Where the network's target stands for a miner who tries only a part of the log per nonce. Arithmetic of the contract, to the bit. */
export function shardTarget(poraTarget: bigint, flowLength: number, numShards: number): bigint {
  const own = Math.min(Math.floor(flowLength / numShards), MAX_SHARD_SECTORS)
  const scale = (BigInt(Math.min(flowLength, MAX_SHARD_SECTORS)) << 64n) / BigInt(own)
  return (poraTarget / scale) << 64n
}

/** BLAKE2b-512(minerId ‖ nonce ‖ subtask digest ‖ range digest). */
export function padSeed(task: Pick<PoraTask, 'minerId' | 'subtaskDigest' | 'rangeDigest'>, nonce: Uint8Array): Uint8Array {
  return hash('blake2b512', Buffer.concat([task.minerId, nonce, task.subtaskDigest, task.rangeDigest]), 'buffer')
}

/** The first sector of the load that the end of a pad chooses. */
function recalledLoad(range: RecallRange, recallSeed: Uint8Array): number {
  const offset = Number(BigInt(`0x${Buffer.from(recallSeed).toString('hex')}`) % BigInt(range.mineLength / LOAD_SECTORS))
  return range.startPosition + (offset - (offset % range.numShards) + range.shardId) * LOAD_SECTORS
}

/** Grows the pads of some nonces, together: the kernel hashes two chains at a time. At most 16. */
export function draws(kernel: Kernel, task: PoraTask, nonces: readonly Uint8Array[]): Draw[] {
  const seeds = nonces.map((nonce) => padSeed(task, nonce))
  const pads = kernel.scratchpads(Buffer.concat(seeds))
  return nonces.map((nonce, i) => {
    const pad = pads.subarray(i * SCRATCHPAD_SIZE, (i + 1) * SCRATCHPAD_SIZE)
    return { nonce, seed: seeds[i]!, pad, load: recalledLoad(task.range, kernel.keccak256(pad.subarray(SCRATCHPAD_SIZE - 64))) }
  })
}

/** Hashes seals with the pad of a draw. Keeps its message between calls: one per thread. */
export class Evaluator {
  // seal number ‖ seed ‖ 32 zero bytes ‖ seal XOR quarter
  readonly #message = new Uint8Array(128 + SEAL_SIZE)
  readonly #mixed = new Uint32Array(this.#message.buffer, 128)

  /** First half of the BLAKE2b-512 of the message: as a number it must not exceed the target. */
  quality(draw: Pick<Draw, 'seed' | 'pad'>, sealOffset: number, sealed: Uint8Array): Uint8Array {
    this.#message.set(draw.seed, 32)
    return this.#hash(words(draw.pad), sealOffset, words(sealed), 0)
  }

  /**
   * The winning seals of a recalled load.
   * @param sealed the load's 262,144 sealed bytes
   * @param sealOffsets which of its 64 seals to try
   * @param target 32 bytes, big-endian
   */
  winners(draw: Draw, sealed: Uint8Array, sealOffsets: readonly number[], target: Uint8Array): Ticket[] {
    if (sealed.length !== LOAD_SIZE) throw new RangeError(`a load is ${LOAD_SIZE} bytes, not ${sealed.length}`)
    this.#message.set(draw.seed, 32)
    const pad = words(draw.pad)
    const data = words(sealed)
    const won: Ticket[] = []
    for (const sealOffset of sealOffsets) {
      const quality = this.#hash(pad, sealOffset, data, sealOffset * SEAL_WORDS)
      if (quality[0]! <= target[0]! && Buffer.compare(quality, target) <= 0) won.push({ sealOffset, quality })
    }
    return won
  }

  #hash(pad: Uint32Array, sealOffset: number, data: Uint32Array, from: number): Uint8Array {
    const mixed = this.#mixed
    const quarter = (sealOffset % 4) * SEAL_WORDS
    for (let i = 0; i < SEAL_WORDS; i++) mixed[i] = data[from + i]! ^ pad[quarter + i]!
    this.#message[31] = sealOffset
    return hash('blake2b512', this.#message, 'buffer').subarray(0, 32)
  }
}

/** The bytes as 32-bit words, in place where they are aligned. */
function words(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4)
}

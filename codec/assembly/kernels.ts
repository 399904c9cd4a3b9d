// Keccak-256 over many equal messages at a time (padding byte 0x01, not that of SHA-3), and what storage builds on it.
// Every loop advances by LANES messages; when the count is odd the last lane works on whatever lies behind the input,
// for which all areas have room.

import { LANES, Lane, gather, scatter, splat, xor } from './lanes'
import { permute } from './keccak'

const CHUNK: usize = 256
const HASH: usize = 32
const SEAL: usize = 4096
const UNITS: i32 = 128 // of 32 bytes in a seal
const CELL: usize = 64
const CELLS: usize = 256 // in a scratchpad
const SCRATCHPAD: usize = CELL * CELLS
const RATE_WORDS: i32 = 17
const LAST_BIT: u64 = 0x8000000000000000

const STATE = memory.data(25 * 16, 16)
const MASKS = memory.data(2 * 32, 16)

/** 256 KiB: a segment, 64 seals, 16 scratchpads or 8,192 hashes; and the largest item again for the spare lane. */
export const input: usize = memory.data(262144 + 16384, 16)
/** 32 KiB: the hashes of a segment's chunks, first masks or seeds; and one more for the spare lane. */
export const hashes: usize = memory.data(32768 + 64, 16)

// @ts-ignore: decorator
@inline function setState(word: i32, lane: Lane): void { store<Lane>(STATE + <usize>word * sizeof<Lane>(), lane) }

// @ts-ignore: decorator
@inline function mixState(word: i32, lane: Lane): void { setState(word, xor(load<Lane>(STATE + <usize>word * sizeof<Lane>()), lane)) }

// @ts-ignore: decorator
@inline function squeeze(to: usize, stride: usize): void {
  for (let i = 0; i < 4; i++) scatter(to, stride, i, load<Lane>(STATE + <usize>i * sizeof<Lane>()))
}

/** Hashes LANES messages of `words` 8-byte words, fewer than fill one block. */
// @ts-ignore: decorator
@inline function hashShort(words: i32, from: usize, fromStride: usize, to: usize, toStride: usize): void {
  for (let i = 0; i < words; i++) setState(i, gather(from, fromStride, i))
  setState(words, splat(1))
  for (let i = words + 1; i < 25; i++) setState(i, splat(0))
  setState(RATE_WORDS - 1, splat(LAST_BIT))
  permute(STATE)
  squeeze(to, toStride)
}

function hashUnits(from: usize, fromStride: usize, to: usize, toStride: usize): void { hashShort(4, from, fromStride, to, toStride) }

function hashPairs(from: usize, fromStride: usize, to: usize, toStride: usize): void { hashShort(8, from, fromStride, to, toStride) }

/** Hashes LANES neighbouring chunks: 32 words are two blocks. */
function hashChunks(from: usize, to: usize): void {
  for (let i = 0; i < RATE_WORDS; i++) setState(i, gather(from, CHUNK, i))
  for (let i = RATE_WORDS; i < 25; i++) setState(i, splat(0))
  permute(STATE)
  for (let i = 0; i < 15; i++) mixState(i, gather(from, CHUNK, RATE_WORDS + i))
  mixState(15, splat(1))
  mixState(RATE_WORDS - 1, splat(LAST_BIT))
  permute(STATE)
  squeeze(to, HASH)
}

/** Hashes `count` chunks of `input` into `hashes`. */
export function chunkHashes(count: i32): void {
  for (let i = 0; i < count; i += LANES) hashChunks(input + <usize>i * CHUNK, hashes + <usize>i * HASH)
}

/** Folds `count` hashes at `at` to the root in their first place: neighbours pair up, an odd last one is carried up as it is. */
export function reduce(at: usize, count: i32): void {
  while (count > 1) {
    const pairs = count >> 1
    for (let i = 0; i < pairs; i += LANES) hashPairs(at + <usize>i * 2 * HASH, 2 * HASH, at + <usize>i * HASH, HASH)
    if (count & 1) memory.copy(at + <usize>pairs * HASH, at + <usize>(count - 1) * HASH, HASH)
    count = pairs + (count & 1)
  }
}

// @ts-ignore: decorator
@inline function mask(unit: usize, mask: usize): void {
  for (let i: usize = 0; i < HASH; i += 8) store<u64>(unit + i, load<u64>(unit + i) ^ load<u64>(mask + i))
}

/** Seals `count` seals of `input` in place, their first masks in `hashes`: each unit is masked by the hash of the sealed one before. */
export function seal(count: i32): void {
  for (let i = 0; i < count; i += LANES) {
    const first = input + <usize>i * SEAL
    for (let lane = 0; lane < LANES; lane++) mask(first + <usize>lane * SEAL, hashes + <usize>(i + lane) * HASH)
    for (let unit = 1; unit < UNITS; unit++) {
      const at = first + <usize>unit * HASH
      hashUnits(at - HASH, SEAL, MASKS, HASH)
      for (let lane = 0; lane < LANES; lane++) mask(at + <usize>lane * SEAL, MASKS + <usize>lane * HASH)
    }
  }
}

/** The inverse of `seal`. From the end, so that a unit is still sealed when the next one needs its hash. */
export function unseal(count: i32): void {
  for (let i = 0; i < count; i++) {
    const first = input + <usize>i * SEAL
    for (let unit = UNITS - LANES; unit >= 0; unit -= LANES) {
      hashUnits(first + <usize>unit * HASH, HASH, MASKS, HASH)
      for (let lane = 0; lane < LANES; lane++) {
        if (unit + lane + 1 < UNITS) mask(first + <usize>(unit + lane + 1) * HASH, MASKS + <usize>lane * HASH)
      }
    }
    mask(first, hashes + <usize>i * HASH)
  }
}

/** Expands `count` 64-byte seeds of `hashes`, which it uses up, to scratchpads in `input`. */
export function scratchpads(count: i32): void {
  for (let i = 0; i < count; i += LANES) {
    const seed = hashes + <usize>i * CELL
    const pad = input + <usize>i * SCRATCHPAD
    for (let cell: usize = 0; cell < CELLS; cell++) {
      hashPairs(seed, CELL, seed, CELL)
      hashPairs(seed, CELL, seed + HASH, CELL)
      for (let lane = 0; lane < LANES; lane++) memory.copy(pad + <usize>lane * SCRATCHPAD + cell * CELL, seed + <usize>lane * CELL, CELL)
    }
  }
}

// One message of any length: `begin`, `absorb` whole blocks, `finish` with less than a block. All lanes do the same.

export function begin(): void {
  memory.fill(STATE, 0, 25 * sizeof<Lane>())
}

/** Takes in `blocks` blocks of 136 bytes from `input`. */
export function absorb(blocks: i32): void {
  let from = input
  for (; blocks > 0; blocks--) {
    for (let i = 0; i < RATE_WORDS; i++) mixState(i, gather(from, 0, i))
    permute(STATE)
    from += <usize>RATE_WORDS * 8
  }
}

/** Takes in the last `length` < 136 bytes of `input` and leaves the hash in `hashes`. */
export function finish(length: i32): void {
  memory.fill(input + <usize>length, 0, <usize>(RATE_WORDS * 8 - length))
  store<u8>(input + <usize>length, 1)
  const last = input + <usize>RATE_WORDS * 8 - 1
  store<u8>(last, load<u8>(last) | 0x80)
  absorb(1)
  squeeze(hashes, 0)
}

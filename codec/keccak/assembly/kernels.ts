// Keccak-256 over many equal messages at a time (padding byte 0x01, not that of SHA-3), and what storage builds on it.
// Every loop advances by LANES messages; where the count is no multiple, the last lanes work on whatever lies behind the input, for
// which all areas have room.

import { LANES, hashChunks, hashPairs, hashUnits, permute } from './keccak'

const CHUNK: usize = 256
const HASH: usize = 32
const SEAL: usize = 4096
const UNITS: i32 = 128 // of 32 bytes in a seal
const CELL: usize = 64
const CELLS: usize = 256 // in a scratchpad
const SCRATCHPAD: usize = CELL * CELLS
const RATE: usize = 136 // bytes that one permutation takes in
const SPARE: usize = 2 // lanes at most that have nothing to do

const STATE = memory.data(25 * 8, 16)
const MASKS = memory.data(3 * 32, 16)
const CARRIED = memory.data(32, 16)

/** 256 KiB: a segment, 64 seals, 15 scratchpads or 8,192 hashes. */
export const input: usize = memory.data(262144 + SPARE * SCRATCHPAD, 16)
/** 32 KiB: the hashes of a segment's chunks, first masks or seeds. */
export const hashes: usize = memory.data(32768 + SPARE * CELL, 16)

/** Hashes `count` chunks of `input` into `hashes`. */
export function chunkHashes(count: i32): void {
  for (let i = 0; i < count; i += LANES) hashChunks(input + <usize>i * CHUNK, CHUNK, hashes + <usize>i * HASH, HASH)
}

/** Folds `count` hashes at `at` to the root in their first place: neighbours pair up, an odd last one is carried up as it is. */
export function reduce(at: usize, count: i32): void {
  while (count > 1) {
    const pairs = count >> 1
    const odd = count & 1
    if (odd) memory.copy(CARRIED, at + <usize>(count - 1) * HASH, HASH)
    for (let i = 0; i < pairs; i += LANES) hashPairs(at + <usize>i * 2 * HASH, 2 * HASH, at + <usize>i * HASH, HASH)
    if (odd) memory.copy(at + <usize>pairs * HASH, CARRIED, HASH)
    count = pairs + odd
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
    for (let unit = (UNITS - 1) / LANES * LANES; unit >= 0; unit -= LANES) {
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

// One message of any length: `begin`, `absorb` whole blocks, `finish` with less than a block.

export function begin(): void {
  memory.fill(STATE, 0, 25 * 8)
}

/** Takes in `blocks` blocks of 136 bytes from `input`. */
export function absorb(blocks: i32): void {
  for (let from = input, end = input + <usize>blocks * RATE; from < end; from += RATE) {
    for (let i: usize = 0; i < RATE; i += 8) store<u64>(STATE + i, load<u64>(STATE + i) ^ load<u64>(from + i))
    permute(STATE)
  }
}

/** Takes in the last `length` < 136 bytes of `input` and leaves the hash in `hashes`. */
export function finish(length: i32): void {
  memory.fill(input + <usize>length, 0, RATE - <usize>length)
  store<u8>(input + <usize>length, 1)
  const last = input + RATE - 1
  store<u8>(last, load<u8>(last) | 0x80)
  absorb(1)
  memory.copy(hashes, STATE, HASH)
}

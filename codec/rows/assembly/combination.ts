// The random linear combination of a row's symbols: a sum over GF(2^16) of symbol·coefficient, with coefficients of eight components, each
// 16 bytes (little-endian).

import { LANES } from './lane'
import { logOf, timesPower } from './field'
import { USED, plain } from './hash'
import { BYTES, read, write, xor } from './vector'

const GROUP: usize = 64
const SYMBOLS: usize = 32 // of a group
const HASH: usize = 32
const COMBINATION: usize = 16
// Lengths of what is hashed to the seed, and of seed ‖ i.
const SEED: usize = 44
const MESSAGE: usize = 36
const BLOCK: usize = 64

/** Coefficients for rows of `size` bytes: the two halves of SHA-256(seed ‖ i) added, where the seed is a hash of the tree's root and the shape. */
export function coefficients(scratch: usize, root: usize, k: u32, n: u32, size: u32, to: usize): void {
  const messages = scratch + USED, hashes = messages + 4 * BLOCK
  memory.copy(messages, root, HASH)
  store<u32>(messages, k, HASH)
  store<u32>(messages, n, HASH + 4)
  store<u32>(messages, size, HASH + 8)
  plain(scratch, messages, 0, SEED, hashes)
  for (let lane: usize = 0; lane < LANES; lane++) memory.copy(messages + lane * BLOCK, hashes, HASH)
  for (let i: u32 = 0; i < size >> 1; i += LANES) {
    for (let lane: u32 = 0; lane < LANES; lane++) store<u32>(messages + lane * BLOCK, i + lane, HASH)
    plain(scratch, messages, BLOCK, MESSAGE, hashes)
    for (let lane: u32 = 0; lane < LANES; lane++) {
      const hash = hashes + lane * HASH
      const coefficient = to + <usize>(i + lane) * COMBINATION
      store<u64>(coefficient, load<u64>(hash) ^ load<u64>(hash, 16))
      store<u64>(coefficient, load<u64>(hash, 8) ^ load<u64>(hash, 24), 8)
    }
  }
}

/** For each of 32 coefficients and each of the four halves of a symbol's bytes, the products with its 16 values: 32 KiB. */
function tabulate(coefficients: usize, tables: usize): void {
  let table = tables
  for (let symbol: usize = 0; symbol < SYMBOLS; symbol++) {
    const coefficient = coefficients + symbol * COMBINATION
    for (let half: u32 = 0; half < 4; half++, table += 256) {
      memory.fill(table, 0, COMBINATION)
      for (let bit: u32 = 0; bit < 4; bit++) {
        const log = logOf(1 << (4 * half + bit))
        const span = COMBINATION << bit
        for (let i: usize = 0; i < COMBINATION; i += 2) store<u16>(table + span + i, <u16>timesPower(load<u16>(coefficient + i), log))
        for (let i = COMBINATION; i < span; i += BYTES) write(table + span + i, xor(read(table + i), read(table + span + (i & 15))))
      }
    }
  }
}

/** Combinations of `count` rows of `size` bytes, 16 bytes each. */
export function combine(scratch: usize, rows: usize, size: usize, count: u32, coefficients: usize, to: usize): void {
  const tables = scratch
  memory.fill(to, 0, <usize>count * COMBINATION)
  for (let group: usize = 0; group < size; group += GROUP) {
    tabulate(coefficients + group / 2 * COMBINATION, tables)
    for (let row: u32 = 0; row < count; row++) {
      const from = rows + <usize>row * size + group
      for (let part: usize = 0; part < COMBINATION; part += BYTES) {
        const sum = to + <usize>row * COMBINATION + part
        let a = read(sum), b = xor(a, a)
        let table = tables + part
        for (let i: usize = 0; i < SYMBOLS; i++, table += 1024) {
          const low = <usize>load<u8>(from + i), high = <usize>load<u8>(from + i, 32)
          a = xor(a, xor(read(table + ((low & 15) << 4)), read(table + 256 + (low & 0xf0))))
          b = xor(b, xor(read(table + 512 + ((high & 15) << 4)), read(table + 768 + (high & 0xf0))))
        }
        write(sum, xor(a, b))
      }
    }
  }
}

/** Combinations as rows of one group each, so that the code extends them: their eight components become the first symbols. */
export function toRows(_scratch: usize, combinations: usize, count: u32, rows: usize): void {
  memory.fill(rows, 0, <usize>count * GROUP)
  for (let row: u32 = 0; row < count; row++) {
    for (let i: usize = 0; i < COMBINATION; i++) store<u8>(rows + <usize>row * GROUP + (i >> 1) + (i & 1) * SYMBOLS, load<u8>(combinations + <usize>row * COMBINATION + i))
  }
}

/** Clears the byte in `valid` of every row whose combination is not the expected one, which is a row of one group. */
export function compare(_scratch: usize, combinations: usize, expected: usize, count: u32, valid: usize): void {
  for (let row: u32 = 0; row < count; row++, combinations += COMBINATION, expected += GROUP) {
    let differences: u32 = 0
    for (let i: usize = 0; i < COMBINATION; i++) differences |= load<u8>(expected + (i >> 1) + (i & 1) * SYMBOLS) ^ load<u8>(combinations + i)
    if (differences !== 0) store<u8>(valid + row, 0)
  }
}

// SHA-256 of several messages of the same length at a time, and the trees over it: leaf 0x00 ‖ bytes, inner node 0x01 ‖ left ‖ right, missing
// leaves 32 zero bytes. Every loop advances by LANES messages; where the count is no multiple, the last lanes work on whatever lies behind,
// for which all areas have room.

import { LANES, gather, read, scatter, splat, write } from './lane'
import { INITIAL, compress } from './sha-256'

const HASH: usize = 32
const PAIR: usize = 64
const BLOCK: usize = 64
export const LEAF: i32 = 0
const INNER: i32 = 1
const NONE: i32 = -1
// Areas in the scratch memory of a thread.
const STATE: usize = 0
const WORDS: usize = STATE + 8 * 16
const TAIL: usize = WORDS + 16 * 16
export const USED: usize = TAIL + 4 * BLOCK

// @ts-ignore: decorator
@inline function schedule(scratch: usize, from: usize, stride: usize): void {
  for (let i: usize = 0; i < 16; i++) write(scratch + WORDS, gather(from + 4 * i, stride), 4 * i * LANES)
}

/**
 * Hashes LANES messages of `length` bytes behind a byte `prefix` (none if it is negative), `stride` apart, to hashes `toStride` apart.
 * For lengths that leave at most 55 bytes to the last block, which are all there are here.
 */
export function hash(scratch: usize, prefix: i32, from: usize, stride: usize, length: usize, to: usize, toStride: usize): void {
  for (let i: usize = 0; i < 8; i++) write(scratch + STATE, splat(load<u32>(INITIAL + 4 * i)), 4 * i * LANES)
  const prefixed: usize = prefix < 0 ? 0 : 1
  const blocks = (length + prefixed) / BLOCK
  let at = from - prefixed
  for (let block: usize = 0; block < blocks; block++, at += BLOCK) {
    schedule(scratch, at, stride)
    if (block === 0 && prefixed) {
      // The byte before each message is in the first word: the prefix takes its place.
      for (let lane: usize = 0; lane < LANES; lane++) store<u8>(scratch + WORDS + 4 * lane, <u8>prefix, 3)
    }
    compress(scratch + STATE, scratch + WORDS)
  }
  const rest = from + length - at
  const bits = bswap<u32>(<u32>(length + prefixed) << 3)
  for (let lane: usize = 0; lane < LANES; lane++) {
    const tail = scratch + TAIL + lane * BLOCK
    memory.copy(tail, at + lane * stride, rest)
    if (blocks === 0 && prefixed) store<u8>(tail, <u8>prefix)
    store<u8>(tail + rest, 0x80)
    memory.fill(tail + rest + 1, 0, BLOCK - 5 - rest)
    store<u32>(tail, bits, BLOCK - 4)
  }
  schedule(scratch, scratch + TAIL, BLOCK)
  compress(scratch + STATE, scratch + WORDS)
  for (let i: usize = 0; i < 8; i++) scatter(to + 4 * i, toStride, read(scratch + STATE, 4 * i * LANES))
}

/** Leaves of `count` messages of `length` bytes that lie `length` apart. */
export function leaves(scratch: usize, from: usize, length: usize, count: u32, to: usize): void {
  for (let i: u32 = 0; i < count; i += LANES) hash(scratch, LEAF, from + <usize>i * length, length, length, to + <usize>i * HASH, HASH)
}

/** All levels of the tree over `count` = 2^n leaves, which are at `nodes` already: each level follows the one below, the root is last. */
export function tree(scratch: usize, nodes: usize, count: u32): void {
  let level = nodes
  for (let width = count >> 1; width > 0; width >>= 1) {
    const above = level + <usize>width * PAIR
    // Upper levels are narrower than the lanes: what is written behind their nodes is written again, or not read.
    for (let i: u32 = 0; i < width; i += LANES) hash(scratch, INNER, level + <usize>i * PAIR, PAIR, PAIR, above + <usize>i * HASH, HASH)
    level = above
  }
}

/** Leaves of `count` rows of `size` bytes: of each the root of the tree over its chunks of `chunk` bytes, the last of which may be shorter. */
export function rowLeaves(scratch: usize, rows: usize, size: usize, count: u32, chunk: usize, to: usize): void {
  const chunks = (size + chunk - 1) / chunk
  let padded: usize = 1
  while (padded < chunks) padded <<= 1
  const span = padded * HASH // of one row in `level`
  const level = scratch + USED
  for (let row: u32 = 0; row < count; row += LANES) {
    const from = rows + <usize>row * size
    for (let i: usize = 0; i < chunks; i++) hash(scratch, LEAF, from + i * chunk, size, min(chunk, size - i * chunk), level + i * HASH, span)
    for (let lane: usize = 0; lane < LANES; lane++) memory.fill(level + lane * span + chunks * HASH, 0, (padded - chunks) * HASH)
    for (let width = padded >> 1; width > 0; width >>= 1) {
      for (let i: usize = 0; i < width; i++) hash(scratch, INNER, level + i * PAIR, span, PAIR, level + i * HASH, span)
    }
    for (let lane: usize = 0; lane < LANES; lane++) memory.copy(to + (row + lane) * HASH, level + lane * span, HASH)
  }
}

/** Whether each of `count` leaves is in the tree with the given root: a byte each. `paths` has `depth` siblings per leaf, lowest first. */
export function walk(scratch: usize, leaves: usize, indices: usize, paths: usize, depth: u32, count: u32, root: usize, valid: usize): void {
  const pairs = scratch + USED, nodes = pairs + 4 * PAIR
  for (let first: u32 = 0; first < count; first += LANES) {
    const lanes = min(LANES, count - first)
    memory.copy(nodes, leaves + <usize>first * HASH, <usize>lanes * HASH)
    for (let level: u32 = 0; level < depth; level++) {
      for (let lane: u32 = 0; lane < lanes; lane++) {
        const right = <usize>(load<u32>(indices + (<usize>(first + lane) << 2)) >> level & 1)
        const pair = pairs + <usize>lane * PAIR
        memory.copy(pair + right * HASH, nodes + <usize>lane * HASH, HASH)
        memory.copy(pair + (right ^ 1) * HASH, paths + (<usize>(first + lane) * depth + level) * HASH, HASH)
      }
      hash(scratch, INNER, pairs, PAIR, PAIR, nodes, HASH)
    }
    for (let lane: u32 = 0; lane < lanes; lane++) store<u8>(valid + first + lane, memory.compare(nodes + <usize>lane * HASH, root, HASH) === 0 ? 1 : 0)
  }
}

/** Hashes LANES messages without a prefix. */
export function plain(scratch: usize, from: usize, stride: usize, length: usize, to: usize): void {
  hash(scratch, NONE, from, stride, length, to, HASH)
}

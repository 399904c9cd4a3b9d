// A 32-bit word of four SHA-256 computations side by side.

export type Lane = v128
export const LANES: u32 = 4

// @ts-ignore: decorator
@inline export function read(from: usize, offset: usize): Lane { return v128.load(from + offset) }
// @ts-ignore: decorator
@inline export function write(to: usize, value: Lane, offset: usize): void { v128.store(to + offset, value) }
// @ts-ignore: decorator
@inline export function splat(word: u32): Lane { return i32x4.splat(word) }
/** The word at `address`, as it is added to all. */
// @ts-ignore: decorator
@inline export function constantAt(address: usize): Lane { return v128.load_splat<u32>(address) }

// @ts-ignore: decorator
@inline function swap(a: Lane): Lane { return i8x16.shuffle(a, a, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12) }

/** Big-endian words at `from`, `from + stride` … */
// @ts-ignore: decorator
@inline export function gather(from: usize, stride: usize): Lane {
  let words = v128.load_zero<u32>(from)
  words = v128.load_lane<u32>(from + stride, words, 1)
  words = v128.load_lane<u32>(from + 2 * stride, words, 2)
  return swap(v128.load_lane<u32>(from + 3 * stride, words, 3))
}
// @ts-ignore: decorator
@inline export function scatter(to: usize, stride: usize, lane: Lane): void {
  const words = swap(lane)
  v128.store_lane<u32>(to, words, 0)
  v128.store_lane<u32>(to + stride, words, 1)
  v128.store_lane<u32>(to + 2 * stride, words, 2)
  v128.store_lane<u32>(to + 3 * stride, words, 3)
}

// @ts-ignore: decorator
@inline export function add(a: Lane, b: Lane): Lane { return i32x4.add(a, b) }
// @ts-ignore: decorator
@inline export function xor(a: Lane, b: Lane): Lane { return v128.xor(a, b) }
// @ts-ignore: decorator
@inline export function and(a: Lane, b: Lane): Lane { return v128.and(a, b) }
// @ts-ignore: decorator
@inline export function shift(a: Lane, bits: i32): Lane { return i32x4.shr_u(a, bits) }
// @ts-ignore: decorator
@inline export function rotate(a: Lane, bits: i32): Lane { return v128.or(i32x4.shr_u(a, bits), i32x4.shl(a, 32 - bits)) }

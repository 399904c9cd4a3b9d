// Two Keccak states side by side: a lane holds the same 64-bit word of both, the first message in the low half.

export type Lane = v128

/** Independent messages hashed together. */
export const LANES: i32 = 2

// @ts-ignore: decorator
@inline export function splat(word: u64): Lane { return i64x2.splat(word) }

/** The word at `address`, for both. */
// @ts-ignore: decorator
@inline export function splatAt(address: usize): Lane { return v128.load_splat<u64>(address) }

// @ts-ignore: decorator
@inline export function xor(a: Lane, b: Lane): Lane { return v128.xor(a, b) }

// @ts-ignore: decorator
@inline export function rotate(a: Lane, bits: i32): Lane {
  // Processors shift on fewer ports than they add on.
  const left = bits === 1 ? i64x2.add(a, a) : i64x2.shl(a, bits)
  return v128.or(left, i64x2.shr_u(a, 64 - bits))
}

/** a ^ (~b & c), the non-linear step. */
// @ts-ignore: decorator
@inline export function chi(a: Lane, b: Lane, c: Lane): Lane { return v128.xor(a, v128.andnot(c, b)) }

/** Word `index` of the message at `from` and of the one `stride` bytes further. */
// @ts-ignore: decorator
@inline export function gather(from: usize, stride: usize, index: usize): Lane {
  return v128.load_lane<u64>(from + stride + (index << 3), v128.load_zero<u64>(from + (index << 3)), 1)
}

// @ts-ignore: decorator
@inline export function scatter(to: usize, stride: usize, index: usize, lane: Lane): void {
  v128.store_lane<u64>(to + (index << 3), lane, 0)
  v128.store_lane<u64>(to + stride + (index << 3), lane, 1)
}

// A lane of two Keccak states side by side: the same 64-bit word of both, the first state's in the low half.

export type Lane = v128
export const LANES: i32 = 2

// @ts-ignore: decorator
@inline export function splat(word: u64): Lane { return i64x2.splat(word) }

/** The word at `from` of the first message and at `from + stride` of the second. */
// @ts-ignore: decorator
@inline export function gather(from: usize, stride: usize): Lane {
  return v128.load_lane<u64>(from + stride, v128.load_zero<u64>(from), 1)
}

// @ts-ignore: decorator
@inline export function scatter(to: usize, stride: usize, lane: Lane): void {
  v128.store_lane<u64>(to, lane, 0)
  v128.store_lane<u64>(to + stride, lane, 1)
}

/** The 64-bit word at `address`, as it is added to every state. */
// @ts-ignore: decorator
@inline export function constantAt(address: usize): Lane { return v128.load_splat<u64>(address) }

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

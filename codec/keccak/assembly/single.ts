// A lane of one Keccak state: a 64-bit word.

export type Lane = u64
export const LANES: i32 = 1

// @ts-ignore: decorator
@inline export function splat(word: u64): Lane { return word }

/** The word at `from` of the message; `stride` would be the distance to the next. */
// @ts-ignore: decorator
@inline export function gather(from: usize, stride: usize): Lane { return load<u64>(from) }

// @ts-ignore: decorator
@inline export function scatter(to: usize, stride: usize, lane: Lane): void { store<u64>(to, lane) }

/** The 64-bit word at `address`, as it is added to every state. */
// @ts-ignore: decorator
@inline export function constantAt(address: usize): Lane { return load<u64>(address) }

// @ts-ignore: decorator
@inline export function xor(a: Lane, b: Lane): Lane { return a ^ b }

// @ts-ignore: decorator
@inline export function rotate(a: Lane, bits: i32): Lane { return rotl<u64>(a, bits) }

/** a ^ (~b & c), the non-linear step. */
// @ts-ignore: decorator
@inline export function chi(a: Lane, b: Lane, c: Lane): Lane { return a ^ (~b & c) }

// One Keccak state: a lane is one 64-bit word.

export type Lane = u64

/** Independent messages hashed together. */
export const LANES: i32 = 1

// @ts-ignore: decorator
@inline export function splat(word: u64): Lane { return word }

/** The word at `address`. */
// @ts-ignore: decorator
@inline export function splatAt(address: usize): Lane { return load<u64>(address) }

// @ts-ignore: decorator
@inline export function xor(a: Lane, b: Lane): Lane { return a ^ b }

// @ts-ignore: decorator
@inline export function rotate(a: Lane, bits: i32): Lane { return rotl<u64>(a, bits) }

/** a ^ (~b & c), the non-linear step. */
// @ts-ignore: decorator
@inline export function chi(a: Lane, b: Lane, c: Lane): Lane { return a ^ (~b & c) }

/** Word `index` of the message at `from`; `stride` is the distance to the next message. */
// @ts-ignore: decorator
@inline export function gather(from: usize, stride: usize, index: usize): Lane { return load<u64>(from + (index << 3)) }

// @ts-ignore: decorator
@inline export function scatter(to: usize, stride: usize, index: usize, lane: Lane): void { store<u64>(to + (index << 3), lane) }

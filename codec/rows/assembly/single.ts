// A 32-bit word of one SHA-256 computation.

export type Lane = u32
export const LANES: u32 = 1

// @ts-ignore: decorator
@inline export function read(from: usize, offset: usize): Lane { return load<u32>(from + offset) }
// @ts-ignore: decorator
@inline export function write(to: usize, value: Lane, offset: usize): void { store<u32>(to + offset, value) }
// @ts-ignore: decorator
@inline export function splat(word: u32): Lane { return word }
// @ts-ignore: decorator
@inline export function constantAt(address: usize): Lane { return load<u32>(address) }

/** The big-endian word at `from`; a second message there is none. */
// @ts-ignore: decorator
@inline export function gather(from: usize, _stride: usize): Lane { return bswap(load<u32>(from)) }
// @ts-ignore: decorator
@inline export function scatter(to: usize, _stride: usize, lane: Lane): void { store<u32>(to, bswap(lane)) }

// @ts-ignore: decorator
@inline export function add(a: Lane, b: Lane): Lane { return a + b }
// @ts-ignore: decorator
@inline export function xor(a: Lane, b: Lane): Lane { return a ^ b }
// @ts-ignore: decorator
@inline export function and(a: Lane, b: Lane): Lane { return a & b }
// @ts-ignore: decorator
@inline export function shift(a: Lane, bits: i32): Lane { return a >> bits }
// @ts-ignore: decorator
@inline export function rotate(a: Lane, bits: i32): Lane { return rotr(a, bits) }

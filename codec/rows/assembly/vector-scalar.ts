// Eight bytes of GF(2^8), and their product with a constant: its products with the eight bits, each wherever the bit is set.

export type Vector = u64
/** Where the table of products is. */
export type Half = usize
export const BYTES: usize = 8

const ONES: u64 = 0x0101010101010101

// @ts-ignore: decorator
@inline export function read(from: usize): Vector { return load<u64>(from) }
// @ts-ignore: decorator
@inline export function write(to: usize, value: Vector): void { store<u64>(to, value) }
// @ts-ignore: decorator
@inline export function zero(): Vector { return 0 }
// @ts-ignore: decorator
@inline export function xor(a: Vector, b: Vector): Vector { return a ^ b }
// @ts-ignore: decorator
@inline export function lowHalf(table: usize): Half { return table }
// @ts-ignore: decorator
@inline export function highHalf(table: usize): Half { return table + 16 }
// @ts-ignore: decorator
@inline export function times(a: Vector, low: Half, high: Half): Vector {
  return (a & ONES) * <u64>load<u8>(low, 1) ^ (a >> 1 & ONES) * <u64>load<u8>(low, 2) ^ (a >> 2 & ONES) * <u64>load<u8>(low, 4) ^ (a >> 3 & ONES) * <u64>load<u8>(low, 8)
    ^ (a >> 4 & ONES) * <u64>load<u8>(high, 1) ^ (a >> 5 & ONES) * <u64>load<u8>(high, 2) ^ (a >> 6 & ONES) * <u64>load<u8>(high, 4) ^ (a >> 7 & ONES) * <u64>load<u8>(high, 8)
}

// Sixteen bytes of GF(2^8), and their product with a constant: two shuffles of its table.

export type Vector = v128
/** Half a table of products. */
export type Half = v128
export const BYTES: usize = 16

// @ts-ignore: decorator
@inline export function read(from: usize): Vector { return v128.load(from) }
// @ts-ignore: decorator
@inline export function write(to: usize, value: Vector): void { v128.store(to, value) }
// @ts-ignore: decorator
@inline export function zero(): Vector { return i64x2.splat(0) }
// @ts-ignore: decorator
@inline export function xor(a: Vector, b: Vector): Vector { return v128.xor(a, b) }
// @ts-ignore: decorator
@inline export function lowHalf(table: usize): Half { return v128.load(table) }
// @ts-ignore: decorator
@inline export function highHalf(table: usize): Half { return v128.load(table, 16) }
// @ts-ignore: decorator
@inline export function times(a: Vector, low: Half, high: Half): Vector {
  const mask = i8x16.splat(15)
  return v128.xor(i8x16.relaxed_swizzle(low, v128.and(a, mask)), i8x16.relaxed_swizzle(high, v128.and(i16x8.shr_u(a, 4), mask)))
}

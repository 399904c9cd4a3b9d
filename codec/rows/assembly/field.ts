// GF(2^16) = GF(2)[x] / 0x1002D in coordinates of the Cantor basis v₀ … v₁₅ (vᵢ² + vᵢ = vᵢ₋₁, v₀ = 1) that Leopard uses, as the bits of an
// integer. Coordinates 0 … 7 alone are the subfield GF(2^8). Transforms work in the tower GF(2^8)[v₈] instead, "low + v₈·high", where
// most of their constants are of the subfield and multiply both bytes alike, and the others need three products instead of four.

const ORDER: u32 = 65535
const BASIS = memory.data<u16>([0x0001, 0xacca, 0x3c0e, 0x163e, 0xc582, 0xed2e, 0x914c, 0x4012, 0x6c98, 0x10d8, 0x6a72, 0xb900, 0xfdb8, 0xfb34, 0xff38, 0x991e])

// Tables lie at fixed addresses: data of the module would be written again by every thread that instantiates it.
const LOG: usize = 0x10000
const EXP: usize = 0x30000 // one entry more than the order, so that a sum of logarithms needs no comparison
/** For each constant of GF(2^8) its products with the 16 low and the 16 high halves of a byte. */
const PRODUCTS: usize = 0x50010
/** The same shape of table: what the high byte of a symbol adds to its low byte from one basis to the other, either way. */
export const CHANGE: usize = PRODUCTS + 256 * 32
/** Of v₈² = v₈ + v₇. */
const V7: u32 = 0x80
const V8: u32 = 0x100

/** Where the memory of jobs begins. */
export const arena: usize = 0x60000

// @ts-ignore: decorator
@inline function at(table: usize, i: u32): u32 { return <u32>load<u16>(table + (<usize>i << 1)) }
// @ts-ignore: decorator
@inline function put(table: usize, i: u32, value: u32): void { store<u16>(table + (<usize>i << 1), <u16>value) }

/** a + b modulo 65535, where 65535 stands for 0 as well. */
// @ts-ignore: decorator
@inline export function addLogs(a: u32, b: u32): u32 { const sum = a + b; return (sum + (sum >> 16)) & 0xffff }
// @ts-ignore: decorator
@inline export function subtractLogs(a: u32, b: u32): u32 { const difference = a - b; return (difference + (difference >> 16)) & 0xffff }

// @ts-ignore: decorator
@inline export function logOf(a: u32): u32 { return at(LOG, a) }
/** The element whose logarithm is `log` ≤ 65535. */
// @ts-ignore: decorator
@inline export function power(log: u32): u32 { return at(EXP, log) }
// @ts-ignore: decorator
@inline export function inversePower(log: u32): u32 { return at(EXP, ORDER - log) }
// @ts-ignore: decorator
@inline export function timesPower(a: u32, log: u32): u32 { return a === 0 ? 0 : power(addLogs(at(LOG, a), log)) }
export function product(a: u32, b: u32): u32 { return b === 0 ? 0 : timesPower(a, at(LOG, b)) }

/** Writes all tables; once for a memory, by one thread. */
export function init(): void {
  // Powers of x in polynomial coordinates, then by the basis from coordinates to polynomials.
  let element: u32 = 1
  for (let i: u32 = 0; i < ORDER; i++) {
    put(EXP, element, i)
    element <<= 1
    if (element > 0xffff) element ^= 0x1002d
  }
  put(EXP, 0, ORDER)
  put(LOG, 0, 0)
  for (let i: u32 = 0; i < 16; i++) {
    const width: u32 = 1 << i
    for (let j: u32 = 0; j < width; j++) put(LOG, j + width, at(LOG, j) ^ at(BASIS, i))
  }
  for (let i: u32 = 0; i <= ORDER; i++) put(LOG, i, at(EXP, at(LOG, i)))
  for (let i: u32 = 0; i <= ORDER; i++) put(EXP, at(LOG, i), i)
  put(EXP, ORDER, at(EXP, 0))

  for (let constant: u32 = 0; constant < 256; constant++) {
    const table = products(constant)
    for (let half: u32 = 0; half < 16; half++) {
      store<u8>(table + half, <u8>product(constant, half))
      store<u8>(table + 16 + half, <u8>product(constant, half << 4))
    }
  }
  // v₈₊ᵢ = v₈·vᵢ + something of GF(2^8), which is linear in the high byte.
  for (let half: u32 = 0; half < 16; half++) {
    store<u8>(CHANGE + half, <u8>product(V8, half))
    store<u8>(CHANGE + 16 + half, <u8>product(V8, half << 4))
  }
}

// @ts-ignore: decorator
@inline export function products(constant: u32): usize { return PRODUCTS + (<usize>constant << 5) }

/** Low byte of an element in the tower; its high byte is that of the Cantor coordinates. */
// @ts-ignore: decorator
@inline function towerLow(a: u32): u32 { return (a ^ load<u8>(CHANGE + (a >> 8 & 15)) ^ load<u8>(CHANGE + 16 + (a >> 12))) & 0xff }

// The three constants with which (l + v₈·h)·c has the low byte first·l + second·h and the high byte third·(l + h) + first·l.
// @ts-ignore: decorator
@inline export function first(c: u32): usize { return products(towerLow(c)) }
// @ts-ignore: decorator
@inline export function second(c: u32): usize { return products(product(c >> 8, V7)) }
// @ts-ignore: decorator
@inline export function third(c: u32): usize { return products(towerLow(c) ^ c >> 8) }

// The additive FFT of Lin, Chung and Han over the Cantor basis, on rows instead of elements: a row is `width` bytes in groups of 64, of which
// the first 32 are the low bytes of 32 symbols and the others the high bytes, and rows lie side by side. Symbols are in the tower basis.
// Position p of the domain is the element with the coordinates p; a transform of size 2^n at offset p (a multiple of 2^n) covers positions
// p … p + 2^n − 1. Two rows a distance of 2^j apart meet with the constant s_j(p) = p >> j.

import { CHANGE, first, products, second, third } from './field'
import { BYTES, highHalf, lowHalf, read, times, write, xor } from './vector'

const GROUP: usize = 64
const HALF: usize = 32

/** Adds `length` bytes of `from` to `to`. */
export function add(to: usize, from: usize, length: usize): void {
  for (const end = to + length; to < end; to += BYTES, from += BYTES) write(to, xor(read(to), read(from)))
}

/** `length` bytes of rows from one basis to the other; its own inverse. */
export function changeBasis(to: usize, from: usize, length: usize): void {
  const low = lowHalf(CHANGE), high = highHalf(CHANGE)
  for (const end = from + length; from < end; from += GROUP, to += GROUP) {
    for (let i: usize = 0; i < HALF; i += BYTES) {
      const h = read(from + i + HALF)
      write(to + i, xor(read(from + i), times(h, low, high)))
      write(to + i + HALF, h)
    }
  }
}

/** Multiplies `length` bytes of rows by a constant, given in Cantor coordinates. */
export function multiply(at: usize, length: usize, constant: u32): void {
  const a = first(constant), b = second(constant), c = third(constant)
  const a0 = lowHalf(a), a1 = highHalf(a), b0 = lowHalf(b), b1 = highHalf(b), c0 = lowHalf(c), c1 = highHalf(c)
  for (const end = at + length; at < end; at += GROUP) {
    for (let i: usize = 0; i < HALF; i += BYTES) {
      const l = read(at + i), h = read(at + i + HALF)
      const p = times(l, a0, a1)
      write(at + i, xor(p, times(h, b0, b1)))
      write(at + i + HALF, xor(p, times(xor(l, h), c0, c1)))
    }
  }
}

/** x += c·y, then y += x, on `length` bytes. */
function forwardPair(x: usize, y: usize, length: usize, constant: u32): void {
  const a = first(constant), b = second(constant), c = third(constant)
  const a0 = lowHalf(a), a1 = highHalf(a), b0 = lowHalf(b), b1 = highHalf(b), c0 = lowHalf(c), c1 = highHalf(c)
  for (const end = x + length; x < end; x += GROUP, y += GROUP) {
    for (let i: usize = 0; i < HALF; i += BYTES) {
      const yl = read(y + i), yh = read(y + i + HALF)
      const p = times(yl, a0, a1)
      const xl = xor(read(x + i), xor(p, times(yh, b0, b1)))
      const xh = xor(read(x + i + HALF), xor(p, times(xor(yl, yh), c0, c1)))
      write(x + i, xl)
      write(x + i + HALF, xh)
      write(y + i, xor(yl, xl))
      write(y + i + HALF, xor(yh, xh))
    }
  }
}

/** y += x, then x += c·y: the inverse. */
function inversePair(x: usize, y: usize, length: usize, constant: u32): void {
  const a = first(constant), b = second(constant), c = third(constant)
  const a0 = lowHalf(a), a1 = highHalf(a), b0 = lowHalf(b), b1 = highHalf(b), c0 = lowHalf(c), c1 = highHalf(c)
  for (const end = x + length; x < end; x += GROUP, y += GROUP) {
    for (let i: usize = 0; i < HALF; i += BYTES) {
      const xl = read(x + i), xh = read(x + i + HALF)
      const yl = xor(read(y + i), xl), yh = xor(read(y + i + HALF), xh)
      const p = times(yl, a0, a1)
      write(y + i, yl)
      write(y + i + HALF, yh)
      write(x + i, xor(xl, xor(p, times(yh, b0, b1))))
      write(x + i + HALF, xor(xh, xor(p, times(xor(yl, yh), c0, c1))))
    }
  }
}

/** Two layers at once over four runs of `length` bytes, side by side, whose constants (`outer`; 2·outer and 2·outer + 2) are of GF(2^8). */
function forwardFour(w: usize, length: usize, outer: u32): void {
  const a = products(outer), b = products(2 * outer), c = products(2 * outer + 2)
  const a0 = lowHalf(a), a1 = highHalf(a), b0 = lowHalf(b), b1 = highHalf(b), c0 = lowHalf(c), c1 = highHalf(c)
  const x = w + length, y = x + length, z = y + length
  for (let i: usize = 0; i < length; i += BYTES) {
    let q = read(y + i), r = read(z + i)
    const m = xor(read(w + i), times(q, a0, a1)), n = xor(read(x + i), times(r, a0, a1))
    q = xor(q, m)
    r = xor(r, n)
    const s = xor(m, times(n, b0, b1)), t = xor(q, times(r, c0, c1))
    write(w + i, s)
    write(x + i, xor(n, s))
    write(y + i, t)
    write(z + i, xor(r, t))
  }
}

function inverseFour(w: usize, length: usize, outer: u32): void {
  const a = products(outer), b = products(2 * outer), c = products(2 * outer + 2)
  const a0 = lowHalf(a), a1 = highHalf(a), b0 = lowHalf(b), b1 = highHalf(b), c0 = lowHalf(c), c1 = highHalf(c)
  const x = w + length, y = x + length, z = y + length
  for (let i: usize = 0; i < length; i += BYTES) {
    let m = read(w + i), q = read(y + i)
    const n = xor(read(x + i), m), r = xor(read(z + i), q)
    m = xor(m, times(n, b0, b1))
    q = xor(q, times(r, c0, c1))
    const s = xor(q, m), t = xor(r, n)
    write(w + i, xor(m, times(s, a0, a1)))
    write(x + i, xor(n, times(t, a0, a1)))
    write(y + i, s)
    write(z + i, t)
  }
}

/** Values at `size` positions from `offset` on, from coefficients; in place. Depth first, so that small parts stay in the cache. */
export function forward(w: usize, width: usize, offset: u32, size: u32): void {
  if (size === 1) return
  const outer = offset >> (31 - clz(size >> 1))
  const half = <usize>(size >> 1) * width
  if (size === 2) return forwardPair(w, w + half, half, outer)
  const quarter = half >> 1
  if (2 * outer + 2 < 256) forwardFour(w, quarter, outer)
  else {
    forwardPair(w, w + half, half, outer)
    forwardPair(w, w + quarter, quarter, 2 * outer)
    forwardPair(w + half, w + half + quarter, quarter, 2 * outer + 2)
  }
  const step = size >> 2
  for (let i: u32 = 0; i < 4; i++) forward(w + i * quarter, width, offset + i * step, step)
}

/** Coefficients from values at `size` positions from `offset` on; in place. */
export function inverse(w: usize, width: usize, offset: u32, size: u32): void {
  if (size === 1) return
  const outer = offset >> (31 - clz(size >> 1))
  const half = <usize>(size >> 1) * width
  if (size === 2) return inversePair(w, w + half, half, outer)
  const quarter = half >> 1
  const step = size >> 2
  for (let i: u32 = 0; i < 4; i++) inverse(w + i * quarter, width, offset + i * step, step)
  if (2 * outer + 2 < 256) inverseFour(w, quarter, outer)
  else {
    inversePair(w, w + quarter, quarter, 2 * outer)
    inversePair(w + half, w + half + quarter, quarter, 2 * outer + 2)
    inversePair(w, w + half, half, outer)
  }
}

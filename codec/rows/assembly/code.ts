// Erasure code over rows of `stride` bytes, by stripes of columns that fit the cache. A job may be split by columns.

import { addLogs, inversePower, logOf, power, product, subtractLogs } from './field'
import { add, changeBasis, forward, inverse, multiply } from './transform'

/** Bytes of a row that are worked on at once: as many as keep a transform in the second-level cache, at least 64. */
const WORK: usize = 0x80000

// @ts-ignore: decorator
@inline function stripeOf(size: u32): usize { return max<usize>(64, min<usize>(512, (WORK / <usize>size) & ~63)) }

/**
 * The polynomial of degree < size through `given` rows at positions `from` … and zeros up to `size` of them, evaluated at `wanted` positions
 * from `to` on. Both offsets are multiples of `size`, a power of two. Bytes `start` … `end` − 1 of every row.
 */
export function extend(scratch: usize, source: usize, given: u32, target: usize, wanted: u32, stride: usize, size: u32, from: u32, to: u32, start: usize, end: usize): void {
  const stripe = stripeOf(size)
  for (let column = start; column < end; column += stripe) {
    const width = min(stripe, end - column)
    const coefficients = scratch, values = scratch + <usize>size * width
    for (let i: u32 = 0; i < given; i++) changeBasis(coefficients + <usize>i * width, source + <usize>i * stride + column, width)
    memory.fill(coefficients + <usize>given * width, 0, <usize>(size - given) * width)
    inverse(coefficients, width, from, size)
    for (let done: u32 = 0; done < wanted; done += size) {
      memory.copy(values, coefficients, <usize>size * width)
      forward(values, width, to + done, size)
      const rows = min(size, wanted - done)
      for (let i: u32 = 0; i < rows; i++) changeBasis(target + <usize>(done + i) * stride + column, values + <usize>i * width, width)
    }
  }
}

/** Walsh–Hadamard transform of 2^n numbers modulo 65535. */
function walsh(at: usize, size: u32): void {
  for (let distance: u32 = 1; distance < size; distance <<= 1) {
    for (let block: u32 = 0; block < size; block += 2 * distance) {
      let x = at + (<usize>block << 2), y = x + (<usize>distance << 2)
      for (const end = y; x < end; x += 4, y += 4) {
        const a = load<u32>(x), b = load<u32>(y)
        store<u32>(x, addLogs(a, b))
        store<u32>(y, subtractLogs(a, b))
      }
    }
  }
}

/**
 * What rows are multiplied with before and after `recover`. Λ is the polynomial that vanishes where no row is known. For each of the `t`
 * positions p writes a 32-bit number: Λ(p)·weight where a row is known, with the weights that `recover` needs; elsewhere 1/Λ'(p).
 * `known` holds a byte per position, `scales` has room for 2t numbers.
 */
export function locate(_scratch: usize, known: usize, t: u32, scales: usize): void {
  // The logarithm of a product over erased positions e of (p + e) is a convolution over exclusive-or with the table of logarithms.
  const logs = scales + (<usize>t << 2)
  for (let p: u32 = 0; p < t; p++) {
    store<u32>(scales + (<usize>p << 2), load<u8>(known + p) ? 0 : 1)
    store<u32>(logs + (<usize>p << 2), p === 0 ? 0 : logOf(p))
  }
  walsh(scales, t)
  walsh(logs, t)
  for (let p: u32 = 0; p < t; p++) store<u32>(scales + (<usize>p << 2), (load<u32>(scales + (<usize>p << 2)) * load<u32>(logs + (<usize>p << 2))) % 65535)
  walsh(scales, t)
  const unscale: u32 = 0x10000 / t // 2^16 is 1 modulo 65535
  const k = t >> 2
  for (let p: u32 = 0; p < t; p++) {
    const log = (load<u32>(scales + (<usize>p << 2)) * unscale) % 65535
    const weight: u32 = p < 2 * k ? 1 : p < 3 * k ? 3 : 2
    store<u32>(scales + (<usize>p << 2), load<u8>(known + p) ? product(power(log), weight) : inversePower(log))
  }
}

/**
 * Adds to a polynomial its derivative, in place. The derivative of every sⱼ is 1, so its coefficient k is the sum of the coefficients k + 2^j
 * over the clear bits j of k.
 */
function derive(w: usize, width: usize, size: u32): void {
  for (let i: u32 = 1; i < size; i++) {
    const run = <usize>(i & -i) * width
    const from = w + <usize>i * width
    add(from - run, from, run)
  }
}

/**
 * The missing ones of `k` original rows from `k` known ones of 4k. `slots` has for each of 4k positions the number of its row in `rows`, or −1;
 * `scales` is from `locate`. Writes bytes `start` … `end` − 1 of every original row to `target`.
 *
 * With f the polynomial through the rows, f·Λ is known on the whole domain, and its derivative is f·Λ' where Λ vanishes. Of its coefficients the
 * values at originals need the first k only. With Q₀ … Q₃ the coefficients from the four quarters of the domain, those are Q₀' + Q₁ + 3·Q₂ + 2·Q₃
 * (3 and 2 in Cantor coordinates): the upper two layers of the transform of size 4k, and the derivative's terms from one quarter to another.
 * Q₀ itself may be added, since f·Λ vanishes where Λ does.
 */
export function recover(scratch: usize, rows: usize, slots: usize, scales: usize, target: usize, k: u32, stride: usize, start: usize, end: usize): void {
  const stripe = stripeOf(k)
  for (let column = start; column < end; column += stripe) {
    const width = min(stripe, end - column)
    const area = <usize>k * width
    const sum = scratch, quarter = scratch + area
    memory.fill(sum, 0, area)
    for (let offset: u32 = 0; offset < 4 * k; offset += k) {
      let any = false
      memory.fill(quarter, 0, area)
      for (let i: u32 = 0; i < k; i++) {
        const slot = load<i32>(slots + (<usize>(offset + i) << 2))
        if (slot < 0) continue
        any = true
        const row = quarter + <usize>i * width
        changeBasis(row, rows + <usize>slot * stride + column, width)
        multiply(row, width, load<u32>(scales + (<usize>(offset + i) << 2)))
      }
      if (!any) continue
      inverse(quarter, width, offset, k)
      if (offset === 0) derive(quarter, width, k)
      add(sum, quarter, area)
    }
    forward(sum, width, 0, k)
    for (let i: u32 = 0; i < k; i++) {
      const slot = load<i32>(slots + (<usize>i << 2))
      const to = target + <usize>i * stride + column
      if (slot >= 0) {
        memory.copy(to, rows + <usize>slot * stride + column, width)
        continue
      }
      const row = sum + <usize>i * width
      multiply(row, width, load<u32>(scales + (<usize>i << 2)))
      changeBasis(to, row, width)
    }
  }
}

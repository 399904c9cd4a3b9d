// Writes Keccak-f[1600] (FIPS 202 §3.2) in AssemblyScript over the lane operations of codec/assembly/lanes.*.ts, with every lane a
// local: AssemblyScript has no arrays that stay in registers.

const range = (n) => [...Array(n).keys()]
const at = (x, y) => (x % 5) + 5 * (y % 5)

/** Rotation of lane x + 5y in step ρ: the triangular numbers, walked along (x, y) → (y, 2x + 3y). */
function rotations() {
  const offsets = Array(25).fill(0)
  let [x, y] = [1, 0]
  for (const t of range(24)) {
    offsets[at(x, y)] = (((t + 1) * (t + 2)) / 2) % 64
    ;[x, y] = [y, (2 * x + 3 * y) % 5]
  }
  return offsets
}

/** Constants of step ι: bit 2^j − 1 of round r is output 7r + j of the LFSR x⁸ + x⁶ + x⁵ + x⁴ + 1. */
function roundConstants() {
  let lfsr = 1
  return range(24).map(() => {
    let constant = 0n
    for (const j of range(7)) {
      if (lfsr & 1) constant |= 1n << (2n ** BigInt(j) - 1n)
      lfsr = (lfsr << 1) ^ (lfsr & 0x80 ? 0x171 : 0)
    }
    return constant
  })
}

const rotate = (lane, bits) => (bits === 0 ? lane : `rotate(${lane}, ${bits})`)

/** One round from lanes `a…` to lanes `e…` (`a` and `e` are their prefixes), row by row, so that few values are alive at once. */
function round(a, e, constant) {
  const rho = rotations()
  const theta = range(5).map((x) => `c${x} = xor(xor(xor(${a}${x}, ${a}${x + 5}), xor(${a}${x + 10}, ${a}${x + 15})), ${a}${x + 20})`)
  const spread = range(5).map((x) => `d${x} = xor(c${(x + 4) % 5}, ${rotate(`c${(x + 1) % 5}`, 1)})`)
  // Step π moves (x, y) to (y, 2x + 3y); this is which lane comes to (x, y).
  const rowOf = (y) => [
    ...range(5).map((x) => {
      const from = at(x + 3 * y, x)
      return `b${x} = ${rotate(`xor(${a}${from}, d${from % 5})`, rho[from])}`
    }),
    ...range(5).map((x) => `${e}${at(x, y)} = chi(b${x}, b${(x + 1) % 5}, b${(x + 2) % 5})`),
  ]
  return [...theta, ...spread, ...range(5).flatMap(rowOf), `${e}0 = xor(${e}0, splatAt(${constant}))`]
}

/**
 * Source of a module exporting `permute(state)`: 24 rounds in place over 25 lanes at `state`.
 * Two rounds to an iteration spare the copies between them; more of them no longer fit the caches a processor decodes from.
 */
export function keccakSource() {
  const lanes = (declare) => range(25).map(declare)
  const body = [
    ...lanes((i) => `let a${i} = load<Lane>(state, ${i} * sizeof<Lane>())`),
    ...lanes((i) => `let e${i}: Lane`),
    ...range(5).flatMap((i) => [`let b${i}: Lane`, `let c${i}: Lane`, `let d${i}: Lane`]),
    'for (let constant = CONSTANTS, end = CONSTANTS + 24 * 8; constant < end; constant += 2 * 8) {',
    ...round('a', 'e', 'constant'),
    ...round('e', 'a', 'constant + 8'),
    '}',
    ...lanes((i) => `store<Lane>(state, a${i}, ${i} * sizeof<Lane>())`),
  ]
  return [
    "import { Lane, chi, rotate, splatAt, xor } from './lanes'",
    `const CONSTANTS = memory.data<u64>([${roundConstants().map((constant) => `0x${constant.toString(16)}`)}])`,
    'export function permute(state: usize): void {',
    ...body,
    '}',
  ].join('\n')
}

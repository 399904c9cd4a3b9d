// Writes Keccak-f[1600] (FIPS 202 §3.2) as straight-line AssemblyScript over the lane operations of codec/assembly/lanes.*.ts.
// The 25 lanes stay in locals for a whole permutation, which no loop over an array would give us.

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

function round(constant, rho) {
  const theta = range(5).map((x) => `c${x} = xor(xor(xor(a${x}, a${x + 5}), xor(a${x + 10}, a${x + 15})), a${x + 20})`)
  const spread = range(5).map((x) => `d${x} = xor(c${(x + 4) % 5}, ${rotate(`c${(x + 1) % 5}`, 1)})`)
  const rhoPi = range(25).map((i) => {
    const [x, y] = [i % 5, Math.floor(i / 5)]
    return `b${at(y, 2 * x + 3 * y)} = ${rotate(`xor(a${i}, d${x})`, rho[i])}`
  })
  const chi = range(25).map((i) => {
    const [x, y] = [i % 5, Math.floor(i / 5)]
    return `a${i} = chi(b${i}, b${at(x + 1, y)}, b${at(x + 2, y)})`
  })
  return [...theta, ...spread, ...rhoPi, ...chi, `a0 = xor(a0, splat(0x${constant.toString(16)}))`]
}

/** Source of a module exporting `permute(state)`: 24 rounds in place over 25 lanes at `state`. */
export function keccakSource() {
  const rho = rotations()
  const locals = [...range(25).map((i) => `b${i}`), ...range(5).map((i) => `c${i}`), ...range(5).map((i) => `d${i}`)]
  const body = [
    ...range(25).map((i) => `let a${i} = load<Lane>(state, ${i} * sizeof<Lane>())`),
    ...locals.map((name) => `let ${name}: Lane`),
    ...roundConstants().flatMap((constant) => round(constant, rho)),
    ...range(25).map((i) => `store<Lane>(state, a${i}, ${i} * sizeof<Lane>())`),
  ]
  return `import { Lane, chi, rotate, splat, xor } from './lanes'\n\nexport function permute(state: usize): void {\n  ${body.join('\n  ')}\n}\n`
}

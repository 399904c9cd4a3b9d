// Writes Keccak-f[1600] (FIPS 202 §3.2) in AssemblyScript, with every lane a local: AssemblyScript has no arrays that stay in
// registers.

/** 64-bit words that one permutation takes in. */
const RATE = 17

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

/**
 * One round from lanes `a…` to lanes `e…` (`a` and `e` are their prefixes), row by row, so that few values are alive at once.
 * `kind` is a module of lane operations, and the prefix of its locals.
 */
function round(kind, a, e, constant) {
  const rho = rotations()
  const lane = (prefix, i) => `${kind}_${prefix}${i}`
  const xor = (...lanes) => lanes.reduce((left, right) => `${kind}.xor(${left}, ${right})`)
  const rotate = (of, bits) => (bits === 0 ? of : `${kind}.rotate(${of}, ${bits})`)

  const theta = range(5).map((x) => `${lane('c', x)} = ${xor(...range(5).map((y) => lane(a, at(x, y))))}`)
  const spread = range(5).map((x) => `${lane('d', x)} = ${xor(lane('c', at(x + 4, 0)), rotate(lane('c', at(x + 1, 0)), 1))}`)
  // Step π moves (x, y) to (y, 2x + 3y); this is which lane comes to (x, y).
  const row = (y) => [
    ...range(5).map((x) => {
      const from = at(x + 3 * y, x)
      return `${lane('b', x)} = ${rotate(xor(lane(a, from), lane('d', from % 5)), rho[from])}`
    }),
    ...range(5).map((x) => `${lane(e, at(x, y))} = ${kind}.chi(${lane('b', x)}, ${lane('b', at(x + 1, 0))}, ${lane('b', at(x + 2, 0))})`),
  ]
  return [...theta, ...spread, ...range(5).flatMap(row), `${lane(e, 0)} = ${xor(lane(e, 0), `${kind}.constantAt(${constant})`)}`]
}

/** Several lists as one, taking turns: what is independent stands side by side, and the processor sees it in time. */
const interleave = (lists) => lists[0].flatMap((_, i) => lists.map((list) => list[i]))

/**
 * The 24 rounds. Two to an iteration spare the copies between them; many more no longer fit the caches a processor decodes from.
 */
const permutation = (kinds) => [
  'for (let constant = CONSTANTS, end = CONSTANTS + 24 * 8; constant < end; constant += 2 * 8) {',
  ...interleave(kinds.map((kind) => round(kind, 'a', 'e', 'constant'))),
  ...interleave(kinds.map((kind) => round(kind, 'e', 'a', 'constant + 8'))),
  '}',
]

const declarations = (kind) => [
  ...range(25).flatMap((i) => [`let ${kind}_a${i}: ${kind}.Lane`, `let ${kind}_e${i}: ${kind}.Lane`]),
  ...range(5).flatMap((i) => ['b', 'c', 'd'].map((prefix) => `let ${kind}_${prefix}${i}: ${kind}.Lane`)),
]

/** Absorbs block `block` of messages of `words` words. Keccak pads with a 1 behind the message and the last bit of the block. */
function absorb(kind, from, stride, words, block) {
  const added = (i) => {
    const word = block * RATE + i
    if (i >= RATE) return []
    const terms = word < words ? [`${kind}.gather(${from} + ${8 * word}, ${stride})`] : []
    if (word === words) terms.push(`${kind}.splat(1)`)
    if (i === RATE - 1 && word >= words) terms.push(`${kind}.splat(0x8000000000000000)`)
    return terms
  }
  const sum = (terms) => terms.reduce((left, right) => `${kind}.xor(${left}, ${right})`)
  return range(25).flatMap((i) => {
    const lane = `${kind}_a${i}`
    const terms = added(i)
    if (block === 0) return `${lane} = ${terms.length > 0 ? sum(terms) : `${kind}.splat(0)`}`
    return terms.length > 0 ? `${lane} = ${sum([lane, ...terms])}` : []
  })
}

/** A function that hashes messages of `words` words, `fromStride` apart, to hashes `toStride` apart. */
function hashFunction(kinds, name, words) {
  const messages = (kind, base, stride) => [base, ...kinds.slice(0, kinds.indexOf(kind)).map((other) => `${other}.LANES * ${stride}`)].join(' + ')
  return [
    `export function ${name}(from: usize, fromStride: usize, to: usize, toStride: usize): void {`,
    ...kinds.flatMap(declarations),
    ...range(Math.floor(words / RATE) + 1).flatMap((block) => [
      ...kinds.flatMap((kind) => absorb(kind, messages(kind, 'from', 'fromStride'), 'fromStride', words, block)),
      ...permutation(kinds),
    ]),
    ...kinds.flatMap((kind) => range(4).map((i) => `${kind}.scatter(${messages(kind, 'to', 'toStride')} + ${8 * i}, toStride, ${kind}_a${i})`)),
    '}',
  ]
}

/**
 * Source of a module that hashes LANES messages at once, in as many states as `kinds`, modules of lane operations, have together.
 * It exports a function for each length that storage hashes, and `permute(state)` over one state of 25 words in memory.
 */
export function keccakSource(kinds) {
  return [
    ...kinds.map((kind) => `import * as ${kind} from './${kind}'`),
    `const CONSTANTS = memory.data<u64>([${roundConstants().map((constant) => `0x${constant.toString(16)}`)}])`,
    `export const LANES: i32 = ${kinds.map((kind) => `${kind}.LANES`).join(' + ')}`,
    ...hashFunction(kinds, 'hashUnits', 32 / 8),
    ...hashFunction(kinds, 'hashPairs', 64 / 8),
    ...hashFunction(kinds, 'hashChunks', 256 / 8),
    'export function permute(state: usize): void {',
    ...declarations('single'),
    ...range(25).map((i) => `single_a${i} = load<u64>(state, ${8 * i})`),
    ...permutation(['single']),
    ...range(25).map((i) => `store<u64>(state, single_a${i}, ${8 * i})`),
    '}',
  ].join('\n')
}

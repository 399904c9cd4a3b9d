// Writes the compression function of SHA-256 (FIPS 180-4 §6.2) in AssemblyScript, with every working variable a local, for as many messages
// at once as a lane has words.

const range = (n) => [...Array(n).keys()]

function primes(count) {
  const found = []
  for (let candidate = 2; found.length < count; candidate++) if (found.every((prime) => candidate % prime !== 0)) found.push(candidate)
  return found
}

/** The first 32 bits of the fractional part of the root of `prime` of the given degree, exactly. */
function fraction(prime, degree) {
  const power = BigInt(prime) << BigInt(32 * degree)
  let [low, high] = [0n, power]
  while (high - low > 1n) {
    const middle = (low + high) / 2n
    if (middle ** BigInt(degree) <= power) low = middle
    else high = middle
  }
  return `0x${(low & 0xffffffffn).toString(16)}`
}

/** Lane i of an area. */
const place = (i) => `${4 * i} * lane.LANES`
const load = (area, i) => `lane.read(${area}, ${place(i)})`
const store = (area, i, value) => `lane.write(${area}, ${value}, ${place(i)})`
const word = (i) => load('w', i % 16)
const sum = (...terms) => terms.reduce((left, right) => `lane.add(${left}, ${right})`)
const xor = (...terms) => terms.reduce((left, right) => `lane.xor(${left}, ${right})`)
const rotations = (x, ...bits) => xor(...bits.map((n) => `lane.rotate(${x}, ${n})`))

/** Round i of sixteen, in which the variables a … h have moved on by i; and the word sixteen further of the schedule. */
function round(i, schedule) {
  const [a, b, , d, e, f, g, h] = range(8).map((n) => 'abcdefgh'[(n + 8 - (i % 8)) % 8])
  const choice = xor(g, `lane.and(${e}, ${xor(f, g)})`)
  // Of the three, (a ^ b) is the next round's (b ^ c).
  const majority = xor(b, `lane.and(t, u)`)
  return [
    `${h} = ${sum(h, rotations(e, 6, 11, 25), choice, `lane.constantAt(constants + ${4 * i})`, word(i))}`,
    `${d} = ${sum(d, h)}`,
    `t = ${xor(a, b)}`,
    `${h} = ${sum(h, rotations(a, 2, 13, 22), majority)}`,
    'u = t',
    ...(schedule
      ? [
          `x = ${word(i + 1)}`,
          `y = ${word(i + 14)}`,
          store('w', i, sum(word(i), word(i + 9), xor(rotations('x', 7, 18), 'lane.shift(x, 3)'), xor(rotations('y', 17, 19), 'lane.shift(y, 10)'))),
        ]
      : []),
  ]
}

/** Source of a module that exports the initial state and `compress(state, w)`, over eight and sixteen lanes in memory; it uses up `w`. */
export const sha256Source = () =>
  [
    "import * as lane from './lane'",
    `const CONSTANTS = memory.data<u32>([${primes(64).map((prime) => fraction(prime, 3))}])`,
    `export const INITIAL = memory.data<u32>([${primes(8).map((prime) => fraction(prime, 2))}])`,
    'export function compress(state: usize, w: usize): void {',
    ...[...'abcdefgh'].map((name, i) => `let ${name} = ${load('state', i)}`),
    `let t: lane.Lane, u = ${xor('b', 'c')}, x: lane.Lane, y: lane.Lane`,
    'let constants = CONSTANTS',
    'for (const end = constants + 48 * 4; constants < end; constants += 16 * 4) {',
    ...range(16).flatMap((i) => round(i, true)),
    '}',
    ...range(16).flatMap((i) => round(i, false)),
    ...[...'abcdefgh'].map((name, i) => store('state', i, sum(name, load('state', i)))),
    '}',
  ].join('\n')

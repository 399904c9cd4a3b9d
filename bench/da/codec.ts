import { hash } from 'node:crypto'
import { createCodec, type RowCodec, type RowCodecOptions } from '../../codec/rows/codec.ts'
import type { EncodedRows, RowShape } from '../../codec/rows/index.ts'
import { median } from '../measure.ts'
import type { Row } from '../report.ts'

const MB = 1e6
const ROUNDS = 7
/** A blob of 32 MiB, the largest; of 128 KiB; and the least that 4,096 rows hold. */
const LARGE: RowShape = { k: 4096, t: 16_384, rowSize: 8192 }
const SMALL: RowShape = { k: 256, t: 1024, rowSize: 512 }
const NARROW: RowShape = { k: 4096, t: 16_384, rowSize: 64 }
/** Rows that a small signer holds of 16,384. */
const SIGNER_ROWS = 147
/**
 * Commitment and proofs with KZG: 36 multi-scalar multiplications of 2^20 points for 32.5 MB. At some 7 µs a point, an estimate for native
 * code, that is 0.12 MB/s a core; with the fastest library on npm (29 to 63 µs a point, by size) it is 0.02.
 */
const KZG = 0.12
const KZG_PEER = 'KZG, native, estimated'
const PLAIN_PEER = 'node:crypto and tables, call by call'

const bytesOf = ({ k, rowSize }: RowShape): number => k * rowSize
const noise = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (Math.imul(i, 0x9e3779b1) ^ Math.imul(i >> 8, 0x85ebca6b)) >>> 24)

interface Times {
  /** Seconds of processor time, of all threads. */
  cpu: number
  wall: number
}

/** Medians of several rounds, after one that lets engine and memory warm up. */
async function times(run: () => Promise<unknown>): Promise<Times> {
  const rounds: Times[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const before = process.cpuUsage()
    const start = performance.now()
    await run()
    const wall = (performance.now() - start) / 1000
    const { user, system } = process.cpuUsage(before)
    if (round > 0) rounds.push({ cpu: (user + system) / 1e6, wall })
  }
  return { cpu: median(rounds.map(({ cpu }) => cpu)), wall: median(rounds.map(({ wall }) => wall)) }
}

async function withCodec<T>(options: RowCodecOptions, run: (codec: RowCodec) => Promise<T>): Promise<T> {
  const codec = createCodec(options)
  try {
    return await run(codec)
  } finally {
    await codec.close()
  }
}

const encoding = (options: RowCodecOptions, shape: RowShape): Promise<Times> =>
  withCodec(options, (codec) => {
    const data = noise(bytesOf(shape))
    return times(async () => (await codec.encode(data, shape)).release())
  })

/** From parity alone: every original row is missing. */
const recovery = (threads: number, shape: RowShape): Promise<Times> =>
  withCodec({ threads }, async (codec) => {
    const data = noise(bytesOf(shape))
    const encoded = await codec.encode(data, shape)
    const indices = Uint32Array.from({ length: shape.k }, (_, i) => shape.k + 3 * i)
    const rows = encoded.rows(indices)
    encoded.release()
    if (Buffer.compare(await codec.recover(shape, indices, rows), data) !== 0) throw new Error('What was recovered is not what was encoded.')
    return times(() => codec.recover(shape, indices, rows))
  })

/** What one signer checks of the largest blob, and the same plainly. */
const verification = (): Promise<{ ours: Times; plain: Times }> =>
  withCodec({ threads: 0 }, async (codec) => {
    const encoded = await codec.encode(noise(bytesOf(LARGE)), LARGE)
    const indices = Uint32Array.from({ length: SIGNER_ROWS }, (_, i) => (i * 7919) % LARGE.t)
    const rows = encoded.rows(indices)
    const paths = encoded.paths(indices)
    encoded.release()
    const verified = await codec.verify(encoded, indices, rows, paths)
    if (verified.includes(0)) throw new Error('A row that was encoded is not accepted.')
    // Under another root each time, since what a commitment is checked against is kept for the next rows of the same blob.
    let round = 0
    const ours = await times(() => codec.verify({ ...encoded, rowRoot: encoded.rowRoot.with(0, round++) }, indices, rows, paths))
    const plain = await times(async () => plainHashes(encoded, rows))
    return { ours, plain }
  })

/** Leaves, paths and combinations of rows with a library called for each message and products from tables, without the code over the combinations. */
function plainHashes({ shape, rowRoot }: EncodedRows, rows: Uint8Array): void {
  const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer')
  const leaf = new Uint8Array(513)
  const pair = new Uint8Array(65).fill(1, 0, 1)
  const seeded = new Uint8Array(36)
  seeded.set(rowRoot)
  const coefficients = new Uint16Array(shape.rowSize * 4)
  for (let i = 0; i < shape.rowSize / 2; i++) {
    new DataView(seeded.buffer).setUint32(32, i, true)
    const digest = sha256(seeded)
    for (let c = 0; c < 8; c++) coefficients[8 * i + c] = (digest[2 * c]! ^ digest[16 + 2 * c]!) | ((digest[2 * c + 1]! ^ digest[17 + 2 * c]!) << 8)
  }
  const sums = new Uint16Array(8)
  for (let at = 0; at < rows.length; at += shape.rowSize) {
    for (let chunk = at; chunk < at + shape.rowSize; chunk += 512) {
      leaf.set(rows.subarray(chunk, chunk + 512), 1)
      sha256(leaf)
    }
    for (let inner = 1; inner < shape.rowSize / 512 + Math.log2(shape.t); inner++) sha256(pair)
    for (let i = 0; i < shape.rowSize / 2; i++) {
      const symbol = rows[at + (i >> 5) * 64 + (i & 31)]! | (rows[at + (i >> 5) * 64 + 32 + (i & 31)]! << 8)
      for (let c = 0; c < 8; c++) sums[c]! ^= product(symbol, coefficients[8 * i + c]!)
    }
  }
}

const logs = new Uint16Array(65_536)
const powers = new Uint16Array(131_070)
for (let i = 0, power = 1; i < 65_535; i++) {
  powers[i] = powers[i + 65_535] = power
  logs[power] = i
  power = (power << 1) ^ (power & 0x8000 ? 0x1002d : 0)
}
const product = (a: number, b: number): number => (a === 0 || b === 0 ? 0 : powers[logs[a]! + logs[b]!]!)

export async function codecRows(progress: (what: string) => void): Promise<Row[]> {
  const rate = (id: string, what: string, value: number, target: number, reference?: number): Row => ({
    id: `da.${id}`,
    what,
    value,
    unit: 'MB/s',
    better: 'more',
    target,
    ...(reference === undefined ? {} : { reference, peer: KZG_PEER }),
  })
  const duration = (id: string, what: string, seconds: number, target?: number): Row => ({
    id: `da.${id}`,
    what,
    value: seconds * 1000,
    unit: 'ms',
    better: 'less',
    ...(target === undefined ? {} : { target }),
  })
  const large = bytesOf(LARGE) / MB
  const rows: Row[] = []
  for (const [leaf, what, oneCore, twoCores] of [
    ['chunks', 'encode and commit to 32 MiB', 40, 75],
    ['whole', 'the same without chunks in rows', 65, 120],
  ] as const) {
    const suffix = leaf === 'whole' ? '.whole-rows' : ''
    progress(what)
    const alone = await encoding({ threads: 0, leaf }, LARGE)
    rows.push(rate(`encode${suffix}.one-core`, `${what}, one core`, large / alone.cpu, oneCore, KZG))
    const two = await encoding({ threads: 2, leaf }, LARGE)
    rows.push(rate(`encode${suffix}.two-threads`, `${what}, two threads`, large / two.wall, twoCores, 2 * KZG))
  }
  progress('small blobs')
  rows.push(duration('encode.small', 'encode and commit to 128 KiB in 256 rows, one core', (await encoding({ threads: 0 }, SMALL)).cpu, 8))
  rows.push(duration('encode.narrow', 'encode and commit to 256 KiB in 4,096 rows, one core', (await encoding({ threads: 0 }, NARROW)).cpu, 60))
  progress('recovery')
  rows.push(rate('recover.one-core', 'recover 32 MiB from parity alone, one core', large / (await recovery(0, LARGE)).cpu, 40))
  rows.push(rate('recover.two-threads', 'recover 32 MiB from parity alone, two threads', large / (await recovery(2, LARGE)).wall, 40))
  progress('verification')
  const { ours, plain } = await verification()
  rows.push({ ...duration('verify.signer', `verify ${SIGNER_ROWS} rows of 32 MiB, one core`, ours.cpu), reference: plain.cpu * 1000, peer: PLAIN_PEER })
  return rows
}

import { createCipheriv } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ZgFile } from '@0gfoundation/0g-ts-sdk'
import { createKeccak } from 'hash-wasm'
import { loadKernel } from '../codec/keccak/index.ts'
import { fileTree } from '../sdk/storage/file-root.ts'
import { callsPerSecond, median, seconds } from './measure.ts'
import type { Row } from './report.ts'

export const about = 'file roots next to the public client, Keccak kernels next to a library called hash by hash'

const MB = 1e6
const FILE_SIZE = 256 * 1024 * 1024
const SEGMENT = 262_144
const FILE_ROUNDS = 3
/** Scratchpads of one call. */
const PADS = 15
/** What the sketch of these kernels reached on one core: MB/s and scratchpads per second. */
const SKETCH = { seal: 146, scratchpads: 8500 }

export async function rows(progress: (what: string) => void): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'perigee-bench-'))
  try {
    return [...(await fileRoots(join(folder, 'file'), progress)), ...(await kernels(progress))]
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function fileRoots(path: string, progress: (what: string) => void): Promise<Row[]> {
  progress(`writing a file of ${FILE_SIZE} bytes`)
  await writeNoise(path, FILE_SIZE)
  const contenders = {
    client: () => silently(() => clientRoot(path)),
    'one thread': async () => (await fileTree(path, { workers: 0 })).root,
    'two workers': async () => (await fileTree(path, { workers: 2 })).root,
  }
  const times = new Map<string, number[]>()
  const roots = new Set<string>()
  for (let round = 1; round <= FILE_ROUNDS; round++) {
    for (const [name, root] of Object.entries(contenders)) {
      progress(`file root, ${name}, ${round} of ${FILE_ROUNDS}`)
      const elapsed = await seconds(async () => roots.add(await root()))
      times.set(name, [...(times.get(name) ?? []), elapsed])
    }
  }
  if (roots.size !== 1) throw new Error(`The contenders disagree on the file's root: ${[...roots].join(', ')}.`)
  const rate = (name: string): number => FILE_SIZE / MB / median(times.get(name)!)
  const row = (id: string, name: string, factor: number): Row => ({
    id,
    what: `file root of 256 MiB, ${name}`,
    value: rate(name),
    unit: 'MB/s',
    better: 'more',
    reference: rate('client'),
    peer: 'npm client',
    target: factor * rate('client'),
  })
  return [row('codec.file-root.one-thread', 'one thread', 20), row('codec.file-root.two-workers', 'two workers', 35)]
}

async function kernels(progress: (what: string) => void): Promise<Row[]> {
  const library = await createKeccak(256)
  const hash = (bytes: Uint8Array): Uint8Array => library.init().update(bytes).digest('binary')
  const [simd, scalar] = [loadKernel('simd'), loadKernel('scalar')]
  const segment = Uint8Array.from({ length: SEGMENT }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24)
  const masks = segment.slice(0, 64 * 32)
  const seeds = segment.slice(0, PADS * 64)

  progress('segment roots')
  const perSegment = callsPerSecond({
    library: () => segmentRoot(hash, segment),
    scalar: () => scalar.segmentRoot(segment, 1024),
    simd: () => simd.segmentRoot(segment, 1024),
  })
  progress('seals')
  const perSeals = callsPerSecond({
    library: () => seal(hash, segment, masks),
    scalar: () => scalar.seal(segment, masks),
    simd: () => simd.seal(segment, masks),
  })
  progress('scratchpads')
  const perPads = callsPerSecond({ library: () => scratchpad(hash, seeds), scalar: () => scalar.scratchpads(seeds), simd: () => simd.scratchpads(seeds) })

  const row = (id: string, what: string, unit: string, value: number, reference: number, target?: number): Row => ({
    id: `codec.${id}`,
    what,
    value,
    unit,
    better: 'more',
    reference,
    peer: 'hash-wasm, call by call',
    ...(target === undefined ? {} : { target }),
  })
  const megabytes = SEGMENT / MB
  return (['simd', 'scalar'] as const).flatMap((flavour) => {
    const sketch = flavour === 'simd' ? SKETCH : undefined
    return [
      row(`segment-root.${flavour}`, `segment root, ${flavour}`, 'MB/s', perSegment[flavour] * megabytes, perSegment.library * megabytes),
      row(`seal.${flavour}`, `sealing, ${flavour}`, 'MB/s', perSeals[flavour] * megabytes, perSeals.library * megabytes, sketch?.seal),
      row(`scratchpads.${flavour}`, `scratchpads, ${flavour}`, 'per second', perPads[flavour] * PADS, perPads.library, sketch?.scratchpads),
    ]
  })
}

type Hash = (bytes: Uint8Array) => Uint8Array

function segmentRoot(hash: Hash, segment: Uint8Array): Uint8Array {
  let level = Array.from({ length: 1024 }, (_, i) => hash(segment.subarray(i * 256, i * 256 + 256)))
  while (level.length > 1) level = Array.from({ length: level.length / 2 }, (_, i) => hash(Buffer.concat([level[2 * i]!, level[2 * i + 1]!])))
  return level[0]!
}

function seal(hash: Hash, data: Uint8Array, firstMasks: Uint8Array): void {
  for (let at = 0; at < data.length; at += 32) {
    const mask = at % 4096 === 0 ? firstMasks.subarray(at / 128, at / 128 + 32) : hash(data.subarray(at - 32, at))
    for (let i = 0; i < 32; i++) data[at + i]! ^= mask[i]!
  }
}

function scratchpad(hash: Hash, seed: Uint8Array): Uint8Array {
  const pad = new Uint8Array(16_384)
  const cell = seed.slice(0, 64)
  for (let at = 0; at < pad.length; at += 64) {
    cell.set(hash(cell))
    cell.set(hash(cell), 32)
    pad.set(cell, at)
  }
  return pad
}

async function clientRoot(path: string): Promise<string> {
  const file = await ZgFile.fromFilePath(path)
  try {
    const [tree, error] = await file.merkleTree()
    if (!tree) throw error
    return tree.rootHash()!
  } finally {
    await file.close()
  }
}

/** The client logs as it goes, which would drown the table. */
async function silently<T>(run: () => Promise<T>): Promise<T> {
  const { log } = console
  console.log = () => {}
  try {
    return await run()
  } finally {
    console.log = log
  }
}

/** Bytes without a pattern, the same every time. */
async function writeNoise(path: string, size: number): Promise<void> {
  const zeros = Buffer.alloc(1024 * 1024)
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32), Buffer.alloc(16))
  await pipeline(Readable.from(Array.from({ length: size / zeros.length }, () => zeros)), cipher, createWriteStream(path))
}

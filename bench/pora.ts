import { createBLAKE2b, createKeccak, type IHasher } from 'hash-wasm'
import { loadKernel } from '../codec/keccak/index.ts'
import { type Draw, draws, Evaluator, type PoraTask, rangeDigest, recallRange } from '../protocol/storage/pora.ts'
import { LOAD_SECTORS, LOAD_SIZE, seal, word } from '../protocol/storage/sealing.ts'
import { callsPerSecond } from './measure.ts'
import type { Row } from './report.ts'

export const about = 'mining and sealing on one core, next to the same with a hash library called hash by hash'

const PEER = 'hash-wasm, call by call'
const BATCH = 16
const ALL_SEALS = Array.from({ length: 64 }, (_, j) => j)
/** Nothing wins: what is measured is the search. */
const NO_TARGET = new Uint8Array(32)

export async function rows(progress: (what: string) => void): Promise<Row[]> {
  const plain = new PlainMiner(await createKeccak(256), await createBLAKE2b(512))
  const kernel = loadKernel()
  const evaluator = new Evaluator()
  const load = Uint8Array.from({ length: LOAD_SIZE }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24)
  const id = new Uint8Array(32).fill(1)
  const contexts = new Uint8Array(64 * 32).fill(2)
  const range = recallRange(1024 * LOAD_SECTORS, 0, 1)!
  const task: PoraTask = { minerId: id, subtaskDigest: new Uint8Array(32).fill(3), range, rangeDigest: rangeDigest(kernel, range) }
  requireSameDraw(plain, draws(kernel, task, [word(7)])[0]!, task)

  progress('sealing')
  const sealing = callsPerSecond({
    ours: () => seal(kernel, id, 0, contexts, load),
    library: () => plain.seal(id, contexts, load),
  })
  progress('nonces')
  let nonce = 0
  const nonces = callsPerSecond({
    ours: () => {
      const batch = draws(
        kernel,
        task,
        Array.from({ length: BATCH }, () => word(++nonce)),
      )
      for (const draw of batch) evaluator.winners(draw, load, ALL_SEALS, NO_TARGET)
    },
    library: () => plain.tryNonce(task, word(++nonce), load),
  })

  const mbPerCall = LOAD_SIZE / 1e6
  return [
    {
      id: 'pora.sealing',
      what: 'sealing, one core',
      value: sealing.ours * mbPerCall,
      unit: 'MB/s',
      better: 'more',
      reference: sealing.library * mbPerCall,
      peer: PEER,
      target: 3 * sealing.library * mbPerCall,
    },
    {
      id: 'pora.nonces',
      what: 'nonces tried, each with the 64 seals of a load, one core',
      value: nonces.ours * BATCH,
      unit: 'per second',
      better: 'more',
      reference: nonces.library,
      peer: PEER,
      target: 1.3 * nonces.library,
    },
  ]
}

/** What a miner does per nonce and per load, as its specification words it. */
class PlainMiner {
  readonly #keccak: IHasher
  readonly #blake2b: IHasher

  constructor(keccak: IHasher, blake2b: IHasher) {
    this.#keccak = keccak
    this.#blake2b = blake2b
  }

  seal(minerId: Uint8Array, contexts: Uint8Array, data: Uint8Array): void {
    for (let at = 0; at < data.length; at += 32) {
      const first = at % 4096 === 0
      const mask = first
        ? this.#hash(Buffer.concat([minerId, contexts.subarray(at / 128, at / 128 + 32), word(at / 256)]))
        : this.#hash(data.subarray(at - 32, at))
      for (let i = 0; i < 32; i++) data[at + i]! ^= mask[i]!
    }
  }

  draw({ minerId, subtaskDigest, rangeDigest }: PoraTask, nonce: Uint8Array): Pick<Draw, 'seed' | 'pad'> {
    const seed = this.#blake2b
      .init()
      .update(Buffer.concat([minerId, nonce, subtaskDigest, rangeDigest]))
      .digest('binary')
    const pad = new Uint8Array(16_384)
    const cell = seed.slice()
    for (let at = 0; at < pad.length; at += 64) {
      cell.set(this.#hash(cell))
      cell.set(this.#hash(cell), 32)
      pad.set(cell, at)
    }
    return { seed, pad }
  }

  tryNonce(task: PoraTask, nonce: Uint8Array, load: Uint8Array): void {
    const { seed, pad } = this.draw(task, nonce)
    const message = new Uint8Array(4224)
    message.set(seed, 32)
    for (const j of ALL_SEALS) {
      message[31] = j
      for (let i = 0; i < 4096; i++) message[128 + i] = load[j * 4096 + i]! ^ pad[(j % 4) * 4096 + i]!
      this.#blake2b.init().update(message).digest('binary')
    }
  }

  #hash(bytes: Uint8Array): Uint8Array {
    return this.#keccak.init().update(bytes).digest('binary')
  }
}

function requireSameDraw(plain: PlainMiner, ours: Draw, task: PoraTask): void {
  const theirs = plain.draw(task, ours.nonce)
  if (Buffer.compare(theirs.pad, ours.pad) !== 0 || Buffer.compare(theirs.seed, ours.seed) !== 0)
    throw new Error('The contenders disagree on the scratchpad of a nonce.')
}

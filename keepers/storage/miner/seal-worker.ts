import { parentPort } from 'node:worker_threads'
import { loadKernel } from '../../../codec/keccak/index.ts'
import { LOAD_SEALS, LOAD_SECTORS, SEAL_SIZE, seal } from '../../../protocol/storage/sealing.ts'

/** A load to seal. */
export interface SealJob {
  load: number
  minerId: Uint8Array
  contextDigests: Uint8Array
  data: Uint8Array<ArrayBuffer>
}
export interface SealJobDone {
  sealed: Uint8Array<ArrayBuffer>
  /** Bit j: seal j holds more than zeros, which the contract refuses. */
  worth: bigint
  seconds: number
}

const kernel = loadKernel()
const zeros = Buffer.alloc(SEAL_SIZE)

function worthOf(data: Uint8Array): bigint {
  let worth = 0n
  for (let j = 0; j < LOAD_SEALS; j++) if (!zeros.equals(data.subarray(j * SEAL_SIZE, (j + 1) * SEAL_SIZE))) worth |= 1n << BigInt(j)
  return worth
}

parentPort!.on('message', ({ load, minerId, contextDigests, data }: SealJob) => {
  const started = performance.now()
  const worth = worthOf(data)
  seal(kernel, minerId, load * LOAD_SECTORS, contextDigests, data)
  const done: SealJobDone = { sealed: data, worth, seconds: (performance.now() - started) / 1000 }
  parentPort!.postMessage(done, [data.buffer])
})

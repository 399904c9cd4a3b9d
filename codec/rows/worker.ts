// A thread of a row codec. Posts null when the calls of a message are made, or the error that stopped them.
import { parentPort, workerData } from 'node:worker_threads'
import { type Call, caller, type Shared } from './kernels.ts'

const { scratch, ...shared }: Shared & { scratch: number } = workerData
const run = caller(shared, scratch)

parentPort!.on('message', (calls: Call[]) => {
  try {
    run(calls)
    parentPort!.postMessage(null)
  } catch (error) {
    parentPort!.postMessage(error)
  }
})

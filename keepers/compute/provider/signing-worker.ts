// A thread that signs answers: a third of a millisecond each, during which the main thread passes tokens on.
import { parentPort, workerData } from 'node:worker_threads'
import { type ReceiptContext, type ReceiptRow, Receipts, Signing } from './signing.ts'

export interface SigningTask {
  secret: Uint8Array
  context: ReceiptContext
}

const { secret, context }: SigningTask = workerData
const signing = new Signing(secret, new Receipts(context))
parentPort!.on('message', (rows: readonly ReceiptRow[]) => parentPort!.postMessage(rows.map((row) => signing.sign(row))))

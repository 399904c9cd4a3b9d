import type { Provider as RpcProvider } from 'ethers'
import type { Dispatcher } from 'undici'
import { z } from 'zod'
import { Usage } from '../../../sdk/compute/ask.ts'
import type { ComputeContracts } from '../../../sdk/compute/contracts.ts'
import { fetchReceipt } from '../../../sdk/compute/receipts.ts'
import { verifyAnswer } from '../../../sdk/compute/verify.ts'
import { reasonOf } from '../../../sdk/errors.ts'
import type { ReceiptRecord } from './decisions.ts'
import type { Provider } from './ranking.ts'

/** An answer as it crossed the wire. */
export interface RelayedAnswer {
  id: string
  model: string
  /** SHA-256, hex. */
  requestHash: string
  responseHash: string
  /** Of an answer that was not streamed. */
  body?: Buffer
}

export interface ReceiptsOptions {
  contracts: Pick<ComputeContracts, 'inference' | 'registry'>
  rpc: RpcProvider
  account: string
  dispatcher: Dispatcher
  signal: AbortSignal
}

const Answered = z.looseObject({ usage: Usage })

/** Checks that answers are what the provider's attested key signed: these bytes, this request, this fee. */
export class Receipts {
  readonly #options: ReceiptsOptions

  constructor(options: ReceiptsOptions) {
    this.#options = options
  }

  async check({ address, url }: Provider, { id, model, requestHash, responseHash, body }: RelayedAnswer): Promise<ReceiptRecord> {
    const { contracts, rpc, account, dispatcher, signal } = this.#options
    try {
      const signed = await fetchReceipt(url, id, { dispatcher, signal })
      const usage = body && usageOf(body)
      const facts = { id, provider: address, url, model, user: account, requestHash, responseHash, ...(usage ? { usage } : {}) }
      const { ok, checks } = await verifyAnswer(contracts, rpc, facts, signed)
      const failed = checks.filter((check) => !check.ok).map(({ name, detail }) => `${name}: ${detail}`)
      return ok ? { status: 'verified', detail: `${signed.receipt.fee} wei` } : { status: 'failed', detail: failed.join('; ') }
    } catch (error) {
      return { status: 'unavailable', detail: reasonOf(error) }
    }
  }
}

function usageOf(body: Buffer): Usage | undefined {
  const parsed = Answered.safeParse(JSON.parse(body.toString('utf8')))
  return parsed.success ? parsed.data.usage : undefined
}

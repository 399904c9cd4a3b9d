import { Signature, type Signer } from 'ethers'
import { type PaymentPromise, PROMISE_TYPES, paymentDomain } from '../../../protocol/da/payment.ts'
import type { Scene } from './scene.ts'

export interface Promised {
  terms: PaymentPromise
  signature: string
}

/** A promise of the payer to the disperser over a hundredth of a coin, valid for ten minutes, unless said otherwise. */
export async function promised(
  of: Pick<Scene, 'ethers' | 'payments' | 'payer' | 'disperser'>,
  changes: Partial<PaymentPromise> = {},
  by: Signer = of.payer,
): Promise<Promised> {
  const { timestamp } = (await of.ethers.provider.getBlock('latest'))!
  const terms = {
    payer: await of.payer.getAddress(),
    disperser: await of.disperser.getAddress(),
    blobId: of.ethers.ZeroHash,
    fee: 10n ** 16n,
    nonce: 0n,
    deadline: timestamp + 600,
    ...changes,
  }
  const signature = await by.signTypedData(paymentDomain(31337n, of.payments.target as string), PROMISE_TYPES, terms)
  return { terms, signature: Signature.from(signature).serialized }
}

export const redemptionOf = ({ terms, signature }: Promised, batch: { proof(i: number): string[] }, index = 0) => ({
  terms,
  signature,
  index,
  proof: batch.proof(index),
})

import { randomBytes } from 'node:crypto'
import { getBytes, type Signer, toBigInt } from 'ethers'
import type { Shape } from '../../protocol/da/codes.ts'
import { PROMISE_TYPES, paymentDomain } from '../../protocol/da/payment.ts'
import { chainError, mined } from '../contracts.ts'
import { PerigeeError } from '../errors.ts'
import type { DaContracts } from './contracts.ts'
import type { Payment } from './messages.ts'

/** What an account has for blobs, in wei. */
export interface BlobBalance {
  account: string
  available: bigint
  /** Asked back; still pays promises until it is withdrawn. */
  withdrawing: bigint
  /** Unix seconds; absent when nothing was asked back. */
  withdrawableAt?: number
}

type Payments = Pick<DaContracts, 'payments'>

export async function blobBalanceOf({ payments }: Payments, account: string): Promise<BlobBalance> {
  const { available, withdrawing, withdrawableAt } = await payments.balanceOf(account).catch((error) => {
    throw chainError('reading the balance for blobs', error)
  })
  return { account, available, withdrawing, ...(withdrawing > 0n && { withdrawableAt: Number(withdrawableAt) }) }
}

/** Adds coins of the signer to what `account` has for blobs. Gives the transaction's hash. */
export function depositForBlobs({ payments }: Payments, account: string, amount: bigint): Promise<string> {
  return mined('depositing', () => payments.deposit(account, { value: amount }))
}

/** Asks coins back; `withdrawFromBlobs` pays them out once the lock has ended. Gives the transaction's hash. */
export function requestWithdrawal({ payments }: Payments, amount: bigint): Promise<string> {
  return mined('asking for the withdrawal', () => payments.requestWithdrawal(amount))
}

/** Pays what was asked back, and is due, to `to`. Gives the transaction's hash. */
export function withdrawFromBlobs({ payments }: Payments, to: string): Promise<string> {
  return mined('withdrawing', () => payments.withdraw(to))
}

/** Part of the time for which signers accept promises: a clock may go wrong by the rest. */
const LIFETIME = 0.75

/**
 * Promises a disperser the price of a blob, signed by the payer (whose provider is the chain).
 * @throws PerigeeError CHAIN when the payer's balance does not cover it
 */
export async function promisePayment({ payments }: Payments, payer: Signer, blob: PromisedBlob): Promise<Payment> {
  const { blobId, shape, disperser } = blob
  try {
    const account = await payer.getAddress()
    const provider = payer.provider!
    const [fee, lockTime, network, block, { available }] = await Promise.all([
      payments.priceOf(shape.log2K, shape.rowSize),
      payments.lockTime(),
      provider.getNetwork(),
      provider.getBlock('latest'),
      payments.balanceOf(account),
    ])
    if (available < fee) {
      throw new PerigeeError('CHAIN', `the blob costs ${fee} wei, and ${account} has ${available} for blobs`, {
        wayOut: 'Deposit more: `perigee da deposit <coins>`.',
      })
    }
    const deadline = block!.timestamp + Math.floor(Number(lockTime) * LIFETIME)
    const promise = { payer: account, disperser, blobId, fee, nonce: toBigInt(randomBytes(8)), deadline }
    const domain = paymentDomain(network.chainId, await payments.getAddress())
    return { promise, signature: getBytes(await payer.signTypedData(domain, PROMISE_TYPES, promise)) }
  } catch (error) {
    throw chainError('promising the payment', error)
  }
}

export interface PromisedBlob {
  blobId: string
  shape: Pick<Shape, 'log2K' | 'rowSize'>
  /** Address of who may redeem it. */
  disperser: string
}

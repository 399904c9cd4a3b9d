import { formatEther, type Signer } from 'ethers'
import { chainError, mined } from '../contracts.ts'
import { PerigeeError } from '../errors.ts'
import { type ComputeContracts, serviceName } from './contracts.ts'

/** Money of a user at one provider, in wei. */
export interface SubAccount {
  provider: string
  balance: bigint
  /** Of the balance, what was asked back and waits for its lock to end. */
  pendingRefund: bigint
  /** Unix seconds at which the next part of it can be collected. */
  refundableAt?: number
}

/** Money of a user in the marketplace, in wei. */
export interface Balance {
  user: string
  /** In the ledger, free to be sent to a provider or home. */
  available: bigint
  /** With all sub-accounts. */
  total: bigint
  accounts: SubAccount[]
}

/** What a user has in the ledger and at providers of inference; all zero for one who never deposited. */
export async function balanceOf({ ledger, inference }: Pick<ComputeContracts, 'ledger' | 'inference'>, user: string): Promise<Balance> {
  const found = await ledger.getLedger(user).catch((error) => {
    const failure = chainError('reading the ledger', error)
    if (failure.shortMessage.includes('LedgerNotExists')) return undefined
    throw failure
  })
  if (!found) return { user, available: 0n, total: 0n, accounts: [] }
  const [providers, lockTime] = await Promise.all([serviceName(ledger, inference).then((name) => ledger.getLedgerProviders(user, name)), inference.lockTime()])
  const accounts = await Promise.all(providers.map((provider) => inference.getAccount(user, provider)))
  return {
    user,
    available: found.availableBalance,
    total: found.totalBalance,
    accounts: accounts.map(({ provider, balance, pendingRefund, refunds }) => ({
      provider,
      balance,
      pendingRefund,
      ...(refunds.length > 0 && { refundableAt: Number(refunds[0]!.createdAt + lockTime) }),
    })),
  }
}

/** Puts money into the ledger of the signer. Gives the transaction's hash. */
export function deposit({ ledger }: Pick<ComputeContracts, 'ledger'>, amount: bigint): Promise<string> {
  return mined('depositing', () => ledger.depositFund({ value: amount }))
}

/** Makes money of the ledger spendable at one provider. */
export async function fund({ ledger, inference }: Pick<ComputeContracts, 'ledger' | 'inference'>, provider: string, amount: bigint): Promise<string> {
  const name = await serviceName(ledger, inference)
  return mined(`funding ${provider}`, () => ledger.transferFund(provider, name, amount))
}

/** The ledger takes so many providers in one transaction. */
const PROVIDERS_AT_ONCE = 20

export interface RefundResult {
  user: string
  transactions: string[]
  /** Wei sent to the user's own account. */
  withdrawn: bigint
  /** What still waits for its lock, by provider. */
  waiting: SubAccount[]
}

/**
 * Takes as much home as is free now: collects what waited long enough, starts the lock of the rest, and withdraws what the ledger
 * has available. Run it again when the lock has ended; it always gets further and never undoes what it did.
 */
export async function refund(
  contracts: Pick<ComputeContracts, 'ledger' | 'inference'>,
  signer: Signer,
  { providers }: { providers?: string[] | undefined } = {},
): Promise<RefundResult> {
  const { ledger, inference } = contracts
  const user = await signer.getAddress()
  const before = await balanceOf(contracts, user)
  const wanted = providers?.map((provider) => provider.toLowerCase())
  const chosen = before.accounts
    .filter(({ provider, balance }) => balance > 0n && (wanted?.includes(provider.toLowerCase()) ?? true))
    .map(({ provider }) => provider)
  const unknown = wanted?.find((provider) => !before.accounts.some((account) => account.provider.toLowerCase() === provider))
  if (unknown) throw new PerigeeError('NOT_FOUND', `${user} has no account at ${unknown}`)
  const name = await serviceName(ledger, inference)
  const transactions: string[] = []
  for (let from = 0; from < chosen.length; from += PROVIDERS_AT_ONCE) {
    const some = chosen.slice(from, from + PROVIDERS_AT_ONCE)
    transactions.push(await mined('asking money back', () => ledger.retrieveFund(some, name)))
  }
  const { available } = await balanceOf(contracts, user)
  if (available > 0n && !wanted) transactions.push(await mined(`withdrawing ${formatEther(available)}`, () => ledger.refund(available)))
  const after = await balanceOf(contracts, user)
  return { user, transactions, withdrawn: wanted ? 0n : available - after.available, waiting: after.accounts.filter(({ pendingRefund }) => pendingRefund > 0n) }
}

import { mined } from '../contracts.ts'
import type { ComputeContracts } from './contracts.ts'

type Contracts = Pick<ComputeContracts, 'inference' | 'bonds'>

/** What a provider has at stake and has earned, in wei; times in unix seconds. */
export interface Stake {
  provider: string
  earnings: bigint
  /** Counts as stake. */
  bonded: bigint
  /** Asked back. */
  unbonding: bigint
  /** When what was asked back can leave; 0 when nothing was. */
  unbondsAt: number
  /** Kept by open disputes. */
  locked: bigint
}

export async function stakeOf({ inference, bonds }: Contracts, provider: string): Promise<Stake> {
  const [earnings, id] = await Promise.all([inference.earningsOf(provider), inference.bondOf(provider)])
  const { bonded, unbonding, unbondsAt, locked } = await bonds.bondOf(id)
  return { provider, earnings, bonded, unbonding, unbondsAt: unbonding > 0n ? Number(unbondsAt) : 0, locked }
}

/** Sends the signer's earnings to `to`. Gives the transaction's hash. */
export const withdrawEarnings = ({ inference }: Contracts, to: string): Promise<string> => mined('withdrawing earnings', () => inference.withdrawEarnings(to))

/** Ends the signer's service and asks its whole stake back; it leaves when the delay of the bond is over. */
export async function leave({ inference, bonds }: Contracts, provider: string): Promise<string[]> {
  const transactions: string[] = []
  if (await inference.serviceExists(provider)) transactions.push(await mined('removing the service', () => inference.removeService()))
  const id = await inference.bondOf(provider)
  const { bonded } = await bonds.bondOf(id)
  if (bonded > 0n) transactions.push(await mined('asking the stake back', () => bonds.unbond(id, bonded)))
  return transactions
}

/** Collects what was asked back and is due. */
export async function collectStake({ inference, bonds }: Contracts, provider: string, to: string): Promise<string> {
  const id = await inference.bondOf(provider)
  return mined('collecting the stake', () => bonds.withdraw(id, to))
}

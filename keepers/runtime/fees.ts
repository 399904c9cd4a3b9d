import type { Provider } from 'ethers'

/** Fee fields of a transaction, in wei per gas: EIP-1559, or the single price of chains without it. */
export type Fees = { type: 2; maxFeePerGas: bigint; maxPriorityFeePerGas: bigint } | { type: 0; gasPrice: bigint }

/** The most a unit of gas can cost. */
export const feeCeiling = (fees: Fees): bigint => (fees.type === 2 ? fees.maxFeePerGas : fees.gasPrice)

export async function currentFees(provider: Provider): Promise<Fees> {
  const { maxFeePerGas, maxPriorityFeePerGas, gasPrice } = await provider.getFeeData()
  if (maxFeePerGas !== null && maxPriorityFeePerGas !== null) return { type: 2, maxFeePerGas, maxPriorityFeePerGas }
  if (gasPrice === null) throw new Error('the endpoint names neither EIP-1559 fees nor a gas price')
  return { type: 0, gasPrice }
}

/** The same fees, held below what the operator allows per unit of gas. */
export function cappedFees(fees: Fees, cap: bigint | undefined): Fees {
  if (cap === undefined || feeCeiling(fees) <= cap) return fees
  if (fees.type === 0) return { type: 0, gasPrice: cap }
  return { type: 2, maxFeePerGas: cap, maxPriorityFeePerGas: smaller(fees.maxPriorityFeePerGas, cap) }
}

/** Nodes replace a pending transaction only for 10 % more (geth) or 12.5 % more (others); a quarter satisfies all. */
const raised = (wei: bigint): bigint => wei + wei / 4n + 1n

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b)
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b)

/** Fees that replace a transaction that paid `old`: those of now if they are higher by enough. */
export function replacementFees(old: Fees, now: Fees): Fees {
  if (old.type === 0) return { type: 0, gasPrice: larger(raised(old.gasPrice), feeCeiling(now)) }
  const tip = now.type === 2 ? now.maxPriorityFeePerGas : 0n
  return {
    type: 2,
    maxFeePerGas: larger(raised(old.maxFeePerGas), feeCeiling(now)),
    maxPriorityFeePerGas: larger(raised(old.maxPriorityFeePerGas), tip),
  }
}

/** Of an answer, what its settlement depends on. */
export interface Chargeable {
  id: string
  user: string
  sequence: number
  price_version: number
  fee: string
}

/** What can be charged from a user now, in wei. */
export interface Limit {
  wei: bigint
  /** The money is about to go: the answer that it does not suffice for is charged what there is. */
  takeAll: boolean
}

/**
 * The answers, of rows in the order of (user, sequence), that their users can pay: of each user the first ones without a gap, so that the receipts
 * of a batch add up to what it charges. The rest waits; while it does, the user is not let in.
 */
export function payable<R extends Chargeable>(rows: readonly R[], limits: ReadonlyMap<string, Limit>): R[] {
  const chosen: R[] = []
  let previous: R | undefined
  let left = 0n
  let open = false
  for (const row of rows) {
    if (row.user !== previous?.user) {
      left = limits.get(row.user)?.wei ?? 0n
      open = limits.has(row.user)
    } else if (row.sequence !== previous.sequence + 1) open = false
    previous = row
    if (!open) continue
    const fee = BigInt(row.fee)
    if (fee > left) {
      open = false
      if (left === 0n || !limits.get(row.user)?.takeAll) continue
    }
    chosen.push(row)
    left -= fee
  }
  return chosen
}

/** How far a charge reaches: these answers are paid, one in part, the others not at all. */
export interface Allocation<R> {
  paid: R[]
  inPart: R | undefined
  unpaid: R[]
}

/** What `charged` wei pay of answers in the order of their sequence. */
export function allocate<R extends { fee: string }>(rows: readonly R[], charged: bigint): Allocation<R> {
  const paid: R[] = []
  let left = charged
  for (const [i, row] of rows.entries()) {
    const fee = BigInt(row.fee)
    if (fee > left) return left > 0n ? { paid, inPart: row, unpaid: rows.slice(i + 1) } : { paid, inPart: undefined, unpaid: rows.slice(i) }
    paid.push(row)
    left -= fee
  }
  return { paid, inPart: undefined, unpaid: [] }
}

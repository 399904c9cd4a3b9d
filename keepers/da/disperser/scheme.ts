export type Scheme = 'aggregate' | 'signatures'

/**
 * Gas of whole transactions, measured with 4 to 40 members. A list of ECDSA signatures costs the same for each member of the epoch, and for each that signs; an
 * aggregate BLS signature costs something when anybody is absent, and for each that is.
 */
const LIST = { base: 65_970, member: 910, signature: 4_240 }
const AGGREGATE = { base: 195_900, anyAbsent: 5_200, absent: 1_250 }

/** The cheaper scheme for so many members that sign, and so many that do not. */
export function cheaperScheme(signing: number, absent: number): Scheme {
  const list = LIST.base + LIST.member * (signing + absent) + LIST.signature * signing
  const aggregate = AGGREGATE.base + (absent > 0 ? AGGREGATE.anyAbsent : 0) + AGGREGATE.absent * absent
  return list < aggregate ? 'signatures' : 'aggregate'
}

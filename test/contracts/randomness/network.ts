import { bn254 } from '@noble/curves/bn254.js'
import { concat, toBeHex } from 'ethers'
import { type DrandNetwork, roundMessage, submission } from '../../../protocol/randomness/drand.ts'
import { hashToG1 } from '../../../protocol/randomness/hash-to-g1.ts'

const SECRET = 0x5eedn

/** A network that signs whatever the tests want, of the scheme and the period of evmnet. */
export const testNetwork: DrandNetwork = { publicKey: keyBytes(), genesisTime: 1_700_000_000n, period: 3n }

function keyBytes(): string {
  const { x, y } = bn254.G2.Point.BASE.multiply(SECRET).toAffine()
  return concat([x.c1, x.c0, y.c1, y.c0].map((part) => toBeHex(part, 32)))
}

/** The test network's signature of a round, hex of 64 bytes. */
export function sign(round: bigint): string {
  const { x, y } = hashToG1(roundMessage(round)).point.multiply(SECRET).toAffine()
  return concat([toBeHex(x, 32), toBeHex(y, 32)])
}

/** Arguments of `submit`. */
export const signed = (round: bigint) => submission(round, sign(round))

/** When a round is signed, unix seconds. */
export const timeOf = ({ genesisTime, period }: DrandNetwork, round: bigint): bigint => genesisTime + (round - 1n) * period

import { hash_to_field } from '@noble/curves/abstract/hash-to-curve.js'
import { FpIsSquare } from '@noble/curves/abstract/modular.js'
import { bn254 } from '@noble/curves/bn254.js'
import { getBytes, keccak256 } from 'ethers'

const G1 = bn254.G1.Point
const { Fp } = bn254.fields
type G1 = InstanceType<typeof G1>

/** As BN254.mapToG1 takes them: the inverse, and a root for each candidate up to the one that is taken. */
export type MapHints = [bigint, bigint, bigint, bigint]

/** Of BLS signatures in G1 of BN254, by the suite's name in RFC 9380. */
const DOMAIN = 'BLS_SIG_BN254G1_XMD:KECCAK-256_SVDW_RO_NUL_'

/** Keccak-256 as hash_to_field wants a hash: 32 bytes out, 136 in a block. */
const keccak = Object.assign((data: Uint8Array) => getBytes(keccak256(data)), { outputLen: 32, blockLen: 136 }) as unknown as Parameters<
  typeof hash_to_field
>[2]['hash']

const HALF = Fp.inv(2n)
const EVEN_ROOT = evenRoot(Fp.neg(12n))
const C4 = Fp.mul(Fp.neg(16n), Fp.inv(3n))

/** hash_to_curve of RFC 9380, with the hints that save the contract inversions and roots. */
export function hashToG1(message: Uint8Array, domain = DOMAIN): { point: G1; hints: [MapHints, MapHints] } {
  const elements = hash_to_field(message, 2, { DST: domain, p: Fp.ORDER, m: 1, k: 128, expand: 'xmd', hash: keccak })
  const [first, second] = elements.map(([u]) => mapToG1(u!)) as [ReturnType<typeof mapToG1>, ReturnType<typeof mapToG1>]
  return { point: first.point.add(second.point), hints: [first.hints, second.hints] }
}

/** The map of Shallue and van de Woestijne (RFC 9380, section 6.6.1) with Z = 1. */
export function mapToG1(u: bigint): { point: G1; hints: MapHints } {
  const square = Fp.mul(4n, Fp.sqr(u))
  const [plus, minus] = [Fp.add(1n, square), Fp.sub(1n, square)]
  const inverse = Fp.inv(Fp.mul(plus, minus))
  const shift = Fp.mul(Fp.mul(Fp.mul(u, minus), inverse), EVEN_ROOT)
  const last = Fp.add(1n, Fp.mul(C4, Fp.sqr(Fp.mul(Fp.sqr(plus), inverse))))
  const hints: MapHints = [inverse, 0n, 0n, 0n]
  for (const [i, x] of [Fp.sub(Fp.neg(HALF), shift), Fp.sub(shift, HALF), last].entries()) {
    const value = Fp.add(Fp.mul(Fp.sqr(x), x), 3n)
    const isSquare = FpIsSquare(Fp, value)
    const root = Fp.sqrt(isSquare ? value : Fp.neg(value))
    hints[i + 1] = root
    if (isSquare) return { point: G1.fromAffine({ x, y: root % 2n === u % 2n ? root : Fp.neg(root) }), hints }
  }
  throw new Error(`${u} maps to no point: expected a square among three candidates`) // there always is one
}

function evenRoot(square: bigint): bigint {
  const root = Fp.sqrt(square)
  return root % 2n === 0n ? root : Fp.neg(root)
}

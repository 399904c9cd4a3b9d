import { hkdfSync } from 'node:crypto'
import { FpIsSquare, mapHashToField } from '@noble/curves/abstract/modular.js'
import { bn254 } from '@noble/curves/bn254.js'
import { concat, keccak256, toBeHex } from 'ethers'
import { type CertificateDomain, possessionDigest } from './certificate.ts'
import { checkHash, checkLength, DaFormatError } from './format-error.ts'

/** A point of BN254, affine; as in contracts/lib/BN254.sol. */
export interface G1Point {
  x: bigint
  y: bigint
}

/** A point of its twist. Each coordinate is [imaginary, real], as the pairing precompile has it (EIP-197). */
export interface G2Point {
  x: [bigint, bigint]
  y: [bigint, bigint]
}

/** Which try of hashing to the curve was the first on it, and the smaller root there: what the contract checks instead of searching. */
export interface HashHint {
  counter: number
  y: bigint
}

/** The key of a member: signatures are points of G1. */
export interface BlsKey {
  key: G1Point
  keyG2: G2Point
  /** The signature of a digest (hex of 32 bytes). */
  sign(digest: string): G1Point
}

/** As IDACertificates.AggregateSignature. */
export interface AggregateSignature extends HashHint {
  signature: G1Point
  key: G2Point
}

/** As IDASigners.register takes it. */
export interface Registration extends HashHint {
  key: G1Point
  keyG2: G2Point
  proof: G1Point
}

const G1 = bn254.G1.Point
const G2 = bn254.G2.Point
const { Fp, Fp2, Fr, Fp12 } = bn254.fields
type G1 = InstanceType<typeof G1>
type G2 = InstanceType<typeof G2>
const SCALAR_BYTES = 32
const COORDINATE_BYTES = 32
export const G1_BYTES = 64
export const G2_BYTES = 128
/** Half again as long as the order, so that the reduction has no bias to speak of (2^-128; FIPS 186-5 A.2.1). */
const DERIVED_BYTES = 48
const DERIVATION = 'Perigee data availability: BLS key v1'
const MAX_COUNTER = 255

/** The key whose secret scalar is these 32 bytes, big endian. @throws DaFormatError unless it is above 0 and below the order of the curve */
export function blsKeyFromBytes(secret: Uint8Array): BlsKey {
  return keyOf(numberOf(checkLength(secret, SCALAR_BYTES, 'the BLS key')))
}

/** The BLS key that follows from an ECDSA key (32 bytes), so that an operator keeps one secret. The ECDSA key does not follow from it. */
export function deriveBlsKey(ecdsaKey: Uint8Array): BlsKey {
  const derived = hkdfSync('sha256', checkLength(ecdsaKey, SCALAR_BYTES, 'the ECDSA key'), new Uint8Array(), DERIVATION, DERIVED_BYTES)
  return keyOf(numberOf(mapHashToField(new Uint8Array(derived), Fr.ORDER)))
}

function keyOf(secret: bigint): BlsKey {
  if (!Fr.isValidNot0(secret)) throw new DaFormatError('the BLS key is no scalar: expected more than 0 and less than the order of BN254')
  return {
    key: affineG1(G1.BASE.multiply(secret)),
    keyG2: affineG2(G2.BASE.multiply(secret)),
    sign: (digest) => affineG1(hashedPoint(digest).point.multiply(secret)),
  }
}

/** A digest's hash to G1: x = keccak256(digest ‖ counter) mod p for the first counter that gives a point, y the smaller of its roots. */
export function hashToG1(digest: string): HashHint & { x: bigint } {
  checkHash(digest, 'the digest')
  for (let counter = 0; counter <= MAX_COUNTER; counter++) {
    const x = BigInt(keccak256(concat([digest, toBeHex(counter, 1)]))) % Fp.ORDER
    const square = Fp.add(Fp.mul(Fp.sqr(x), x), 3n)
    if (!FpIsSquare(Fp, square)) continue
    const root = Fp.sqrt(square)
    return { counter, x, y: root <= Fp.ORDER / 2n ? root : Fp.ORDER - root }
  }
  throw new DaFormatError(`the digest ${digest} hashes to no point of the curve`) // once in 2^256 digests
}

function hashedPoint(digest: string): { point: G1; hint: HashHint } {
  const { x, y, counter } = hashToG1(digest)
  return { point: G1.fromAffine({ x, y }), hint: { counter, y } }
}

/** Whether it is the signature of a digest by the key. Both are taken from outside; what is no point of its group gives false. */
export function verifySignature(digest: string, signature: G1Point, keyG2: G2Point): boolean {
  try {
    const pairs = [
      { g1: pointG1(signature), g2: G2.BASE.negate() },
      { g1: hashedPoint(digest).point, g2: pointG2(keyG2) },
    ]
    return Fp12.eql(bn254.pairingBatch(pairs), Fp12.ONE)
  } catch (error) {
    if (error instanceof DaFormatError) return false
    throw error
  }
}

/** Adds signatures, or keys in G1. @throws DaFormatError when one of them, or their sum, is no point to sign with */
export const addG1 = (points: readonly G1Point[]): G1Point => affineG1(points.map(pointG1).reduce((sum, point) => sum.add(point), G1.ZERO))

/** Adds keys that the chain has registered, and so checked: only that they are on the curve is checked again. */
export const addG2 = (points: readonly G2Point[]): G2Point => affineG2(points.map(onCurveG2).reduce((sum, point) => sum.add(point), G2.ZERO))

/** One signature of all that signed, with the hint of the digest: what `certify` takes. */
export function aggregate(digest: string, signatures: readonly G1Point[], keys: readonly G2Point[]): AggregateSignature {
  const { counter, y } = hashToG1(digest)
  return { signature: addG1(signatures), key: addG2(keys), counter, y }
}

/** Proves that `account` has the key, for the contract that registers it. */
export function provePossession(bls: BlsKey, domain: CertificateDomain, account: string): Registration {
  const digest = possessionDigest(domain, account)
  const { counter, y } = hashToG1(digest)
  return { key: bls.key, keyG2: bls.keyG2, proof: bls.sign(digest), counter, y }
}

/** x and y, 32 bytes each, big endian. */
export const encodeG1 = ({ x, y }: G1Point): Uint8Array => bytesOf([x, y])

/** @throws DaFormatError unless the 64 bytes are a point of the curve other than infinity */
export function decodeG1(bytes: Uint8Array): G1Point {
  const [x, y] = coordinates(checkLength(bytes, G1_BYTES, 'a point of G1')) as [bigint, bigint]
  return affineG1(pointG1({ x, y }))
}

/** Imaginary and real part of x, then of y, 32 bytes each, big endian. */
export const encodeG2 = ({ x, y }: G2Point): Uint8Array => bytesOf([...x, ...y])

/** @throws DaFormatError unless the 128 bytes are a point of the twist other than infinity, and of the right order */
export function decodeG2(bytes: Uint8Array): G2Point {
  const [xi, xr, yi, yr] = coordinates(checkLength(bytes, G2_BYTES, 'a point of G2')) as [bigint, bigint, bigint, bigint]
  return affineG2(pointG2({ x: [xi, xr], y: [yi, yr] }))
}

function pointG1({ x, y }: G1Point): G1 {
  const isPoint = Fp.isValid(x) && Fp.isValid(y) && Fp.sqr(y) === Fp.add(Fp.mul(Fp.sqr(x), x), 3n)
  if (!isPoint) throw new DaFormatError(`(${x}, ${y}) is no point of G1: expected coordinates below p, and y² = x³ + 3`)
  return G1.fromAffine({ x, y })
}

function onCurveG2({ x, y }: G2Point): G2 {
  const [cx, cy] = [
    { c0: x[1], c1: x[0] },
    { c0: y[1], c1: y[0] },
  ]
  const isOnCurve = Fp2.isValid(cx) && Fp2.isValid(cy) && Fp2.eql(Fp2.sqr(cy), Fp2.add(Fp2.mul(Fp2.sqr(cx), cx), G2.CURVE().b))
  if (!isOnCurve) throw new DaFormatError(`([${x}], [${y}]) is no point of the twist: expected coordinates below p, and y² = x³ + 3/(9 + i)`)
  return G2.fromAffine({ x: cx, y: cy })
}

function pointG2(point: G2Point): G2 {
  const onCurve = onCurveG2(point)
  if (!onCurve.isTorsionFree()) throw new DaFormatError(`([${point.x}], [${point.y}]) is no point of G2: expected one of the order of G1`)
  return onCurve
}

function affineG1(point: G1): G1Point {
  if (point.is0()) throw new DaFormatError('the sum of the points is infinity: expected a point to sign with')
  return point.toAffine()
}

function affineG2(point: G2): G2Point {
  if (point.is0()) throw new DaFormatError('the sum of the keys is infinity: expected a key')
  const { x, y } = point.toAffine()
  return { x: [x.c1, x.c0], y: [y.c1, y.c0] }
}

const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)

const bytesOf = (numbers: readonly bigint[]): Uint8Array =>
  new Uint8Array(Buffer.from(numbers.map((number) => number.toString(16).padStart(2 * COORDINATE_BYTES, '0')).join(''), 'hex'))

const coordinates = (bytes: Uint8Array): bigint[] =>
  Array.from({ length: bytes.length / COORDINATE_BYTES }, (_, i) => numberOf(bytes.subarray(i * COORDINATE_BYTES, (i + 1) * COORDINATE_BYTES)))

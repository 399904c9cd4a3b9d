import { bn254 } from '@noble/curves/bn254.js'
import { concat, dataSlice, getBytes, keccak256, sha256, toBeHex, toUtf8Bytes } from 'ethers'
import { hashToG1, type MapHints } from './hash-to-g1.ts'

/** A network of drand's scheme bls-bn254-unchained-on-g1: each round is signed when it is due, and by nobody before. */
export interface DrandNetwork {
  /** Hex of 128 bytes: imaginary and real part of x, then of y, as the network publishes it and the pairing precompile takes it. */
  publicKey: string
  /** When round 1 is signed, unix seconds. */
  genesisTime: bigint
  /** Seconds between rounds. */
  period: bigint
}

/** drand's network for EVM chains, run by the League of Entropy; its relays know it by the hash. */
export const EVMNET: DrandNetwork = {
  publicKey:
    '0x07e1d1d335df83fa98462005690372c643340060d205306a9aa8106b6bd0b3820557ec32c2ad488e4d4f6008f89a346f18492092ccc0d594610de2732c8b808f0095685ae3a85ba243747b1b2f426049010f6b73a0cf1d389351d5aaaa1047f6297d3a4f9749b33eb2d904c9d9ebf17224150ddd7abd7567a9bec6c74480ee0b',
  genesisTime: 1_727_521_075n,
  period: 3n,
}
export const EVMNET_HASH = '04f1e9062b8a81f848fded9c12306733282b2727ecced50032187751166ec8c3'

export const SIGNATURE_BYTES = 64

const G1 = bn254.G1.Point
const G2 = bn254.G2.Point
const { Fp, Fp12 } = bn254.fields

/** The hash that a network's relays know it by. `seed`: hash of the group that began it; `id`: its name. */
export function networkHash({ publicKey, genesisTime, period }: DrandNetwork, seed: string, id: string): string {
  return sha256(concat([toBeHex(period, 4), toBeHex(genesisTime, 8), publicKey, seed, toUtf8Bytes(id)]))
}

/** What is signed for a round. */
export const roundMessage = (round: bigint): Uint8Array => getBytes(keccak256(toBeHex(round, 8)))

/** Whether a signature (hex of 64 bytes) is that of a round. It comes from outside; what is no point gives false. The key is one that a contract accepted. */
export function verifyRound(publicKey: string, round: bigint, signature: string): boolean {
  const { x, y } = pointOf(signature)
  if (!(Fp.isValid(x) && Fp.isValid(y)) || Fp.sqr(y) !== Fp.add(Fp.mul(Fp.sqr(x), x), 3n)) return false
  const pairs = [
    { g1: G1.fromAffine({ x, y }), g2: G2.BASE.negate() },
    { g1: hashToG1(roundMessage(round)).point, g2: keyPoint(publicKey) },
  ]
  return Fp12.eql(bn254.pairingBatch(pairs), Fp12.ONE)
}

/** Arguments of IDrand.submit: anyone can compute them from a round's signature (hex of 64 bytes). */
export function submission(round: bigint, signature: string): [bigint, { x: bigint; y: bigint }, [MapHints, MapHints]] {
  return [round, pointOf(signature), hashToG1(roundMessage(round)).hints]
}

/** A key as IDrand has it, from how the network publishes it. */
export function keyOf(publicKey: string): { x: [bigint, bigint]; y: [bigint, bigint] } {
  const [xi, xr, yi, yr] = [0, 1, 2, 3].map((i) => BigInt(dataSlice(publicKey, 32 * i, 32 * i + 32))) as [bigint, bigint, bigint, bigint]
  return { x: [xi, xr], y: [yi, yr] }
}

const pointOf = (signature: string) => ({ x: BigInt(dataSlice(signature, 0, 32)), y: BigInt(dataSlice(signature, 32, SIGNATURE_BYTES)) })

function keyPoint(publicKey: string) {
  const { x, y } = keyOf(publicKey)
  return G2.fromAffine({ x: { c0: x[1], c1: x[0] }, y: { c0: y[1], c1: y[0] } })
}

import { AbiCoder, getAddress, getBytes, hexlify, id, keccak256, recoverAddress, Signature, type SigningKey } from 'ethers'
import { checkHash, checkInteger, DaFormatError } from './format-error.ts'

/** The contract that certificates are made in: digests are bound to it and its chain. */
export interface CertificateDomain {
  chainId: bigint | number
  /** Address of DataAvailability (the proxy). */
  contract: string
}

const CERTIFICATE = id('DACert v1')
const POSSESSION = id('DASigner v1')
/** Members are two bytes in the list of those that did not sign. */
const MAX_MEMBER = 0xffff

/** What members sign of a batch: by BLS, and by ECDSA as it is (no prefix). Hex of 32 bytes. */
export function certificateDigest({ chainId, contract }: CertificateDomain, epoch: number | bigint, batchRoot: string): string {
  const values = [CERTIFICATE, chainId, contract, epoch, checkHash(batchRoot, 'the root of the batch')]
  return keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256', 'address', 'uint64', 'bytes32'], values))
}

/** What the proof of possession of `account`'s BLS key signs. */
export function possessionDigest({ chainId, contract }: CertificateDomain, account: string): string {
  return keccak256(AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256', 'address', 'address'], [POSSESSION, chainId, contract, account]))
}

/** Whether so much weight is enough for a certificate: two thirds. */
export const isEnoughWeight = (signed: bigint, total: bigint): boolean => 3n * signed >= 2n * total

/** The members that did not sign, as a certificate lists them: ascending, two bytes each, big endian. @throws DaFormatError unless they ascend */
export function packAbsent(members: readonly number[]): string {
  members.forEach((member, i) => {
    checkInteger(member, i === 0 ? 0 : members[i - 1]! + 1, MAX_MEMBER, 'a member in the list of absent ones')
  })
  return hexlify(Uint8Array.from(members.flatMap((member) => [member >> 8, member & 0xff])))
}

/** Reads a list of absent members of an epoch that has `memberCount`. @throws DaFormatError for odd bytes, or members that do not ascend or do not exist */
export function unpackAbsent(absent: string, memberCount: number): number[] {
  if (!/^0x([0-9a-f]{4})*$/i.test(absent)) throw new DaFormatError(`the list of absent members is ${absent}: expected hex, two bytes for each`)
  const bytes = Buffer.from(getBytes(absent))
  const members = Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16BE(2 * i))
  members.forEach((member, i) => {
    checkInteger(member, i === 0 ? 0 : members[i - 1]! + 1, memberCount - 1, 'a member in the list of absent ones')
  })
  return members
}

/** The ECDSA signature of a digest as `certifyBySignatures` takes it: r, s, v, 65 bytes. */
export const signDigest = (key: SigningKey, digest: string): Uint8Array => getBytes(key.sign(digest).serialized)

/** Whether the 65 bytes are the one ECDSA signature form that the contract takes (v is 27 or 28, s in the lower half), by `account`. */
export function isSignedBy(account: string, digest: string, signature: Uint8Array): boolean {
  if (signature.length !== 65 || (signature[64] !== 27 && signature[64] !== 28)) return false
  try {
    return recoverAddress(digest, Signature.from(hexlify(signature))) === getAddress(account)
  } catch {
    return false // s in the upper half, or no point of the curve
  }
}

import { getAddress, id, keccak256, solidityPackedKeccak256 } from 'ethers'
import { type Recovered, recoverSignedDigest } from './signature.ts'

// What a user of a fine-tuning provider signs (EIP-191 over a digest). Compute §5.2.

/** How old a signature with a time in it may be, and how far its maker's clock may be ahead: seconds. */
export const SIGNATURE_AGE = 300
export const SIGNATURE_LEAD = 60

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Why what a user sent does not count. */
export class TuningSignatureError extends Error {
  override readonly name = 'TuningSignatureError'
}

/** The 16 bytes of a task's id, in hex without 0x. @throws TuningSignatureError when it is no UUID */
function uuidHex(taskId: string): string {
  if (!UUID.test(taskId)) throw new TuningSignatureError(`${taskId} is not the id of a task: expected a UUID`)
  return taskId.replaceAll('-', '').toLowerCase()
}

export interface TaskRequest {
  user: string
  /** Of the public SDK: unix ms · 10000 + 40. */
  nonce: bigint
  /** As the user wrote it: its text is signed. */
  datasetHash: string
}

export const taskDigest = ({ user, nonce, datasetHash }: TaskRequest): string =>
  solidityPackedKeccak256(['address', 'uint256', 'string'], [user, nonce, datasetHash])

export const cancelDigest = (taskId: string): string => keccak256(`0x${uuidHex(taskId)}`)

/** @param timestamp unix seconds */
export const downloadDigest = (taskId: string, timestamp: number): string => id(`${uuidHex(taskId)}${timestamp}`)

/** @param timestamp unix seconds */
export const uploadDigest = (user: string, timestamp: number): string => id(`${getAddress(user)}${timestamp}`)

/**
 * Checks that `user` signed a digest and gives her key, to which the secret of her model is encrypted.
 * @throws TuningSignatureError
 */
export function requireSigned(digest: string, signature: string, user: string): Recovered {
  const recovered = recoverSignedDigest(digest, signature, user)
  if (recovered) return recovered
  throw new TuningSignatureError(`the signature is not by ${user}`)
}

/**
 * Checks that something was signed just now.
 * @param timestamp unix seconds
 * @throws TuningSignatureError
 */
export function requireFresh(timestamp: number, now: Date): void {
  const age = now.getTime() / 1000 - timestamp
  if (age > SIGNATURE_AGE) throw new TuningSignatureError(`it was signed ${Math.round(age)} seconds ago, more than ${SIGNATURE_AGE}: sign again`)
  if (age < -SIGNATURE_LEAD) throw new TuningSignatureError(`it was signed ${Math.round(-age)} seconds in the future: check the clock`)
}

/** Unix seconds at which the nonce of a task was made. */
export const timeOfNonce = (nonce: bigint): number => Number(nonce / 10_000n) / 1000

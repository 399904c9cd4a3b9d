import { epochOf, loadOf, SIGNERS } from './epoch.ts'

const MB = 1e6

/** What one machine does: its links are assumed, its codec does what the benchmark `da` asks of two cores at least. */
export const MACHINE = {
  /** A signer's link, bytes per second: 1 Gbit/s. */
  signerLink: 125 * MB,
  /** A disperser's link, bytes per second: 10 Gbit/s. */
  disperserLink: 1250 * MB,
  /** Encoding and committing, or recovering and comparing, on two cores: bytes of blobs per second. */
  encode: 75 * MB,
}

/** Gas of a certificate's transaction, whatever the number of blobs, as the contract needs it: by an aggregate signature, or by a list of signatures. */
export const CERTIFICATE = {
  aggregate: 196_100,
  /** Each absent member's key is taken out of the sum; the first of a chunk of members brings that chunk in. */
  absent: 1270,
  chunk: 5200,
  chunkMembers: 128,
  list: 66_000,
  signature: 5150,
}

/** Batches are certified once in so many seconds. */
const BATCH_EVERY = 12

export interface Throughput {
  signers: number
  blob: number
  k: number
  /** What a signer's link lets through the network, MB of blobs per second. */
  signerLimit: number
  /** What one disperser encodes and sends, MB of blobs per second. */
  disperserLimit: number
  /** How many dispersers it takes to use what the signers can receive. */
  dispersers: number
  /** Gas of a certificate when all sign, and when a third is absent; and per MiB of blobs at the signers' limit, with a certificate every twelve seconds. */
  gas: number
  gasThirdAbsent: number
  gasPerMiB: number
}

/** How much the network carries as it grows; stake is equal. */
export function throughputOf(blob: number): Throughput[] {
  return SIGNERS.map((signers) => {
    const epoch = epochOf('equal', signers)
    const { k, rows, received, sent } = loadOf(epoch, blob)
    const members = epoch.shares.members.length
    // Who holds K rows recovers the blob and encodes it again.
    const signerLimit =
      Math.min(MACHINE.signerLink / (epoch.shares.committee ? received.max : received.mean), rows.max >= k ? MACHINE.encode : Number.POSITIVE_INFINITY) / MB
    const disperserLimit = Math.min(MACHINE.encode, MACHINE.disperserLink / sent) / MB
    const gas = certificateGas(members, 0)
    return {
      ...{ signers, blob, k, signerLimit, disperserLimit },
      dispersers: Math.ceil(signerLimit / disperserLimit),
      ...{ gas, gasThirdAbsent: certificateGas(members, Math.floor(members / 3)) },
      gasPerMiB: gas / ((signerLimit * MB * BATCH_EVERY) / 2 ** 20),
    }
  })
}

/** By the cheaper of both. */
export function certificateGas(members: number, absent: number): number {
  const { aggregate, absent: perAbsent, chunk, chunkMembers, list, signature } = CERTIFICATE
  const chunks = Math.min(absent, Math.ceil(members / chunkMembers))
  return Math.min(aggregate + perAbsent * absent + chunk * chunks, list + signature * (members - absent))
}

import { GrpcError } from '../../runtime/grpc-error.ts'

export interface AdmissionOptions {
  /** Bytes that may be on the way to their certificates together. */
  maxPendingBytes: number
  /** Bytes and blobs a second that one peer may send in the long run; ten seconds' worth at once. */
  peerBytesPerSecond: number
  peerBlobsPerSecond: number
  /** Milliseconds. */
  now?: () => number
}

interface Bucket {
  bytes: number
  blobs: number
  at: number
}

/** Seconds of its rate that a peer that was quiet may use at once. */
const BURST_SECONDS = 10
/** Peers whose use is remembered; the longest quiet ones are forgotten first. */
const MOST_PEERS = 10_000

/** Whom to take a blob from, and when not: the queue is full, or the peer was too fast. */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #now: () => number
  readonly #peers = new Map<string, Bucket>()
  #pending = 0

  constructor(options: AdmissionOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
  }

  get pendingBytes(): number {
    return this.#pending
  }

  /** Makes room for a blob. @throws GrpcError RESOURCE_EXHAUSTED */
  enter(peer: string, bytes: number): void {
    const { maxPendingBytes } = this.#options
    if (this.#pending > 0 && this.#pending + bytes > maxPendingBytes)
      throw GrpcError.resourceExhausted(`${this.#pending} bytes wait for their certificates, and ${maxPendingBytes} may: try again in a moment`)
    this.#charge(hostOf(peer), bytes)
    this.#pending += bytes
  }

  /** Makes room for what was accepted by an earlier process. */
  resume(bytes: number): void {
    this.#pending += bytes
  }

  leave(bytes: number): void {
    this.#pending -= bytes
  }

  #charge(host: string, bytes: number): void {
    const { peerBytesPerSecond, peerBlobsPerSecond } = this.#options
    const now = this.#now()
    const bucket = this.#peers.get(host) ?? { bytes: 0, blobs: 0, at: now }
    const seconds = (now - bucket.at) / 1000
    const used = { bytes: Math.max(0, bucket.bytes - seconds * peerBytesPerSecond), blobs: Math.max(0, bucket.blobs - seconds * peerBlobsPerSecond), at: now }
    // What it has used before counts, not the blob at hand: one that is larger than all of the allowance passes when the peer was quiet.
    const wait = Math.max(used.bytes / peerBytesPerSecond, used.blobs / peerBlobsPerSecond) - BURST_SECONDS
    if (wait >= 0) throw GrpcError.resourceExhausted(`too much from ${host}: try again in ${Math.ceil(wait) || 1} s`)
    used.bytes += bytes
    used.blobs += 1
    this.#peers.delete(host)
    this.#peers.set(host, used)
    if (this.#peers.size > MOST_PEERS) this.#peers.delete(this.#peers.keys().next().value!)
  }
}

/** `ipv4:1.2.3.4:5678` or `1.2.3.4:5678` without its port. */
const hostOf = (peer: string): string => peer.replace(/^ipv[46]:/, '').replace(/:\d+$/, '')

import { hash } from 'node:crypto'
import { LOAD_SEALS, LOAD_SIZE } from '../../../protocol/storage/sealing.ts'

/** A load as its miner keeps it. */
export interface SealedLoad {
  /** Number of the load in the log. */
  load: number
  minerId: Uint8Array
  /** Digest of the context that each seal is bound to: 64·32 bytes. */
  contextDigests: Uint8Array
  /** Bit j: seal j holds more than zeros, so it can win. */
  worth: bigint
  /** 262,144 bytes. */
  sealed: Uint8Array
}

/** The bytes are not a sealed load, not whole, or not the one that was asked for. */
export class DamagedSeals extends Error {
  override readonly name = 'DamagedSeals'
}

// Layout: magic, load (u64), worth (u64), miner id, digests, SHA-256 of all the rest; the data follow at a whole page.
const MAGIC = Buffer.from('PRGSEAL1')
const AT = { load: 8, worth: 16, minerId: 24, digests: 56, checksum: 56 + 32 * LOAD_SEALS, data: 4096 }

const checksumOf = (bytes: Uint8Array) => {
  const covered = Buffer.from(bytes)
  covered.fill(0, AT.checksum, AT.checksum + 32)
  return hash('sha256', covered, 'buffer')
}

export function encodeSeals({ load, minerId, contextDigests, worth, sealed }: SealedLoad): Uint8Array {
  const bytes = Buffer.alloc(AT.data + LOAD_SIZE)
  bytes.set(MAGIC)
  bytes.writeBigUInt64BE(BigInt(load), AT.load)
  bytes.writeBigUInt64BE(worth, AT.worth)
  bytes.set(minerId, AT.minerId)
  bytes.set(contextDigests, AT.digests)
  bytes.set(sealed, AT.data)
  bytes.set(checksumOf(bytes), AT.checksum)
  return bytes
}

/**
 * Reads what `encodeSeals` wrote; the result shares memory with `bytes`.
 * @throws DamagedSeals unless it is whole and what was asked for
 */
export function decodeSeals(bytes: Uint8Array, load: number, minerId: Uint8Array): SealedLoad {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (file.length !== AT.data + LOAD_SIZE || !file.subarray(0, MAGIC.length).equals(MAGIC)) throw new DamagedSeals(`load ${load}: not a file of seals`)
  if (!checksumOf(file).equals(file.subarray(AT.checksum, AT.checksum + 32))) throw new DamagedSeals(`load ${load}: the checksum does not match`)
  const found = { load: Number(file.readBigUInt64BE(AT.load)), minerId: file.subarray(AT.minerId, AT.minerId + 32) }
  if (found.load !== load) throw new DamagedSeals(`load ${load}: the file holds load ${found.load}`)
  if (!found.minerId.equals(minerId)) throw new DamagedSeals(`load ${load}: sealed for miner 0x${found.minerId.toString('hex')}`)
  return {
    ...found,
    worth: file.readBigUInt64BE(AT.worth),
    contextDigests: file.subarray(AT.digests, AT.checksum),
    sealed: file.subarray(AT.data),
  }
}

import type { Kernel } from '../../codec/keccak/index.ts'

/** Bytes of a seal, the unit that is sealed and proven. */
export const SEAL_SIZE = 4096
/** Sectors of 256 bytes in a seal. */
export const SEAL_SECTORS = 16
/** Sectors of a load, the unit that a nonce recalls; in bytes, one segment. */
export const LOAD_SECTORS = 1024
export const LOAD_SIZE = 262_144
export const LOAD_SEALS = 64

/** A number as 32 bytes, big-endian. */
export function word(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(32)
  const view = new DataView(bytes.buffer)
  for (let rest = BigInt(value), at = 24; rest > 0n; rest >>= 64n, at -= 8) view.setBigUint64(at, rest & 0xffff_ffff_ffff_ffffn)
  return bytes
}

/**
 * Masks of the first words of neighbouring seals: keccak256(minerId ‖ context digest ‖ sector).
 * @param sector first sector of the first seal
 * @param contextDigests 32 bytes per seal: digest of the context whose range holds the seal's last sector
 */
function firstMasks(kernel: Kernel, minerId: Uint8Array, sector: number, contextDigests: Uint8Array): Uint8Array {
  const masks = new Uint8Array(contextDigests.length)
  const preimage = new Uint8Array(96)
  preimage.set(minerId)
  for (let at = 0; at < masks.length; at += 32) {
    preimage.set(contextDigests.subarray(at, at + 32), 32)
    preimage.set(word(sector + (at / 32) * SEAL_SECTORS), 64)
    masks.set(kernel.keccak256(preimage), at)
  }
  return masks
}

/**
 * Seals neighbouring seals for one miner, in place. Every word is masked with the hash of the sealed word before it, so sealing takes 127 hashes one
 * after the other and a miner who does not keep the sealed data cannot make it up in time.
 * @param data n·4096 bytes, at most a load
 * @param sector its first sector
 * @param contextDigests n·32 bytes
 */
export function seal(kernel: Kernel, minerId: Uint8Array, sector: number, contextDigests: Uint8Array, data: Uint8Array): void {
  checkSizes(data, contextDigests)
  kernel.seal(data, firstMasks(kernel, minerId, sector, contextDigests))
}

/** The inverse of `seal`, in place; the words of a seal open independently of each other. */
export function unseal(kernel: Kernel, minerId: Uint8Array, sector: number, contextDigests: Uint8Array, sealed: Uint8Array): void {
  checkSizes(sealed, contextDigests)
  kernel.unseal(sealed, firstMasks(kernel, minerId, sector, contextDigests))
}

function checkSizes(data: Uint8Array, contextDigests: Uint8Array): void {
  const seals = contextDigests.length / 32
  if (seals < 1 || seals > LOAD_SEALS || data.length !== seals * SEAL_SIZE)
    throw new RangeError(
      `${data.length} bytes and ${contextDigests.length} bytes of digests are not 1 to ${LOAD_SEALS} seals of ${SEAL_SIZE} bytes with a digest of 32 each`,
    )
}

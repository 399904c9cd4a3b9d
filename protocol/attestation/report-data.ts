/** What attested code writes into the 64 bytes of its report, and the name of what runs. */
import { AbiCoder, getAddress, getBytes, hexlify, id, keccak256 } from 'ethers'
import type { Quote } from './quote.ts'

const SIGNER_DOMAIN = id('PERIGEE_TEE_SIGNER_V1')

/** What one quote vouches for when a signer registers. Hex strings. */
export interface SignerClaim {
  chainId: bigint | number
  /** Address of the registry: a quote for one registers nowhere else. */
  registry: string
  /** Address of the key that signs receipts and settlements. */
  signer: string
  /** 32 bytes: X25519 public key to encrypt to this code; zeros if it has none. */
  encryptionKey: string
  /** 32 bytes: SHA-256 of the SubjectPublicKeyInfo of its TLS key; zeros if it has none. */
  tlsKey: string
  /** 32 bytes: hash of a recent block, which proves that the quote is no older. */
  blockHash: string
}

/** Report data of a registration: keccak256(abi.encode(domain, chain, registry, signer, encryption key, TLS key)) ‖ block hash. */
export function signerReportData(claim: SignerClaim): Uint8Array {
  const { chainId, registry, signer, encryptionKey, tlsKey, blockHash } = claim
  const types = ['bytes32', 'uint256', 'address', 'address', 'bytes32', 'bytes32']
  const binding = keccak256(AbiCoder.defaultAbiCoder().encode(types, [SIGNER_DOMAIN, chainId, registry, signer, encryptionKey, tlsKey]))
  const freshness = getBytes(blockHash)
  if (freshness.length !== 32) throw new RangeError(`a block hash has 32 bytes, this has ${freshness.length}`)
  return Uint8Array.of(...getBytes(binding), ...freshness)
}

/** Report data as public clients of the marketplace read it: the signer's address as ASCII text, then zeros. */
export function sdkReportData(signer: string): Uint8Array {
  const data = new Uint8Array(64)
  data.set(new TextEncoder().encode(getAddress(signer)))
  return data
}

/**
 * Name of what runs in a trust domain, as the registry allows it: keccak256(MRTD ‖ RTMR1 ‖ RTMR2 ‖ MRCONFIGID). RTMR0 differs with the shape of
 * the machine and RTMR3 with the instance, so neither is part of it.
 */
export function measurementOf(quote: Quote): string {
  if (quote.tee !== 'tdx') throw new TypeError('only a TDX quote has the measurement of a trust domain, this is one of SGX')
  const { mrTd, rtMr, mrConfigId } = quote.report
  return keccak256(hexlify(Buffer.concat([mrTd, rtMr[1], rtMr[2], mrConfigId])))
}

/** What a registrant sends, step by step: calldata made of collateral and a quote, and the sends in their order. */
import { type BytesLike, type ContractTransactionResponse, concat, getBytes, hexlify } from 'ethers'
import type { Collateral } from '../../../protocol/attestation/collateral.ts'
import { parseChain } from '../../../protocol/attestation/pem.ts'
import { parseQuote } from '../../../protocol/attestation/quote.ts'
import type { Certificate } from '../../../protocol/attestation/x509.ts'
import { platformCertificates } from '../../../sdk/attestation/platform.ts'
import { keyId, pointId, publicPoint } from '../../../sdk/attestation/publish-collateral.ts'
import type { CollateralRegistry } from '../../../typechain-types/index.ts'

/** The root's id. */
export const ROOT = `0x${'00'.repeat(20)}`

/** Collateral as the registry wants it. */
export interface Calldata {
  rootCrl: string
  pckIssuer: { id: string; certificate: string }
  tcbSigner: { id: string; certificate: string }
  pckCrl: string
  tcbInfo: { text: string; signature: string; fmspc: string; pceId: string }
  qeIdentity: { text: string; signature: string }
}

const text = (json: string) => hexlify(Buffer.from(json, 'utf8'))
const issuer = ({ publicKey, der }: Certificate) => ({ id: keyId(publicKey), certificate: hexlify(der) })

/** `pckIssuer` is what certified the platform, if another is meant than that in the collateral. */
export function calldata(collateral: Collateral, pckIssuer = parseChain(collateral.pck_crl_issuer_chain, 2)[0]!): Calldata {
  const { fmspc, pceId } = JSON.parse(collateral.tcb_info) as { fmspc: string; pceId: string }
  return {
    rootCrl: `0x${collateral.root_ca_crl}`,
    pckIssuer: issuer(pckIssuer),
    tcbSigner: issuer(parseChain(collateral.tcb_info_issuer_chain, 2)[0]!),
    pckCrl: `0x${collateral.pck_crl}`,
    tcbInfo: { text: text(collateral.tcb_info), signature: `0x${collateral.tcb_info_signature}`, fmspc: `0x${fmspc}`, pceId: `0x${pceId}` },
    qeIdentity: { text: text(collateral.qe_identity), signature: `0x${collateral.qe_identity_signature}` },
  }
}

/** A quote as registry and verifier want it. */
export interface QuoteParts {
  /** From its first byte to the end of its attestation key. */
  quote: string
  pck: { id: string; certificate: string; key: string }
  /** Of the authority that the quote says certified its platform. */
  issuer: string
  attestationKey: { id: string; key: string }
  certification: string
}

export function quoteParts(bytes: Uint8Array): QuoteParts {
  const quote = parseQuote(bytes)
  const { pck, issuer: authority } = platformCertificates(quote)
  const length = Buffer.alloc(2)
  length.writeUInt16LE(quote.qeAuthenticationData.length)
  const end = quote.signedBytes.length + 4 + 64 + 64
  return {
    quote: hexlify(bytes.subarray(0, end)),
    pck: { id: keyId(pck.publicKey), certificate: hexlify(pck.der), key: hexlify(publicPoint(pck.publicKey)) },
    issuer: keyId(authority.publicKey),
    attestationKey: { id: pointId(quote.attestationKey), key: hexlify(quote.attestationKey) },
    certification: concat([quote.qeReport.bytes, quote.qeReportSignature, length, quote.qeAuthenticationData]),
  }
}

/** Adds everything of `collateral`, in order. */
export async function publish(registry: CollateralRegistry, { rootCrl, pckIssuer, tcbSigner, pckCrl, tcbInfo, qeIdentity }: Calldata): Promise<void> {
  await mined(registry.addCrl(ROOT, rootCrl))
  await mined(registry.addIssuer(pckIssuer.certificate, rootCrl))
  await mined(registry.addIssuer(tcbSigner.certificate, rootCrl))
  await mined(registry.addCrl(pckIssuer.id, pckCrl))
  await mined(registry.addTcbInfo(tcbInfo.text, tcbInfo.signature, tcbSigner.id))
  await mined(registry.addQeIdentity(qeIdentity.text, qeIdentity.signature, tcbSigner.id))
}

/** Adds the platform of a quote and its attestation key. */
export async function addPlatform(
  registry: CollateralRegistry,
  { pckCrl }: Calldata,
  { pck, issuer, attestationKey, certification }: QuoteParts,
): Promise<void> {
  await mined(registry.addPck(pck.certificate, issuer, pckCrl))
  await mined(registry.addAttestationKey(pck.key, attestationKey.key, certification))
}

export async function mined(sent: Promise<ContractTransactionResponse>): Promise<void> {
  await (await sent).wait()
}

/** The same bytes with one bit turned. */
export function flipped(bytes: BytesLike, index: number, bit = 0): string {
  const copy = getBytes(bytes, 'bytes').slice()
  copy[index]! ^= 1 << bit
  return hexlify(copy)
}

/** The quoting enclave (QE): what stands between the platform's certified key and the key that signs quotes. */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { CollateralError, type QeIdentity } from './collateral.ts'
import { EvidenceError } from './evidence-error.ts'
import type { Quote } from './quote.ts'
import { isDebuggable, isvStanding, matches, type Standing } from './tcb.ts'

/** A signature over the quote or its QE report is wrong. */
export class SignatureError extends EvidenceError {
  override name = 'SignatureError'
}

/** The platform vouches for the report of the quoting enclave. */
export function checkQeReportSignature(quote: Quote, pck: KeyObject): void {
  if (!isSigned(quote.qeReport.bytes, quote.qeReportSignature, pck)) throw new SignatureError('the QE report was not signed by the platform')
}

/** The quoting enclave vouches for the attestation key: report data = SHA-256(key ‖ authentication data) ‖ zeros. */
export function checkAttestationKeyBinding(quote: Quote): void {
  const binding = createHash('sha256').update(quote.attestationKey).update(quote.qeAuthenticationData).digest()
  const expected = Buffer.concat([binding, Buffer.alloc(32)])
  if (Buffer.compare(quote.qeReport.reportData, expected) !== 0) throw new SignatureError('the QE report is of another attestation key')
}

/** The attestation key vouches for the quote. */
export function checkQuoteSignature(quote: Quote): void {
  if (!isSigned(quote.signedBytes, quote.signature, p256(quote.attestationKey))) throw new SignatureError('the quote was not signed by its attestation key')
}

/** The quoting enclave is the one Intel names, and not a debuggable copy of it. */
export function qeStanding({ qeReport }: Quote, identity: QeIdentity): Standing {
  const mismatch = (what: string) => new CollateralError(`the ${what} of the QE report is not what the QE identity says`)
  if (Buffer.compare(qeReport.mrSigner, identity.mrsigner) !== 0) throw mismatch('MRSIGNER')
  if (qeReport.isvProdId !== identity.isvprodid) throw mismatch('product id')
  if (!matches(qeReport.miscSelect, identity.miscselect, identity.miscselectMask)) throw mismatch('MISCSELECT')
  if (!matches(qeReport.attributes, identity.attributes, identity.attributesMask)) throw mismatch('ATTRIBUTES')
  if (isDebuggable(qeReport)) throw new CollateralError('the quoting enclave is debuggable')
  return isvStanding(qeReport.isvSvn, identity.tcbLevels, 'quoting enclave')
}

function isSigned(bytes: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  return verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

function p256(point: Uint8Array): KeyObject {
  const coordinate = (from: number) => Buffer.from(point.subarray(from, from + 32)).toString('base64url')
  try {
    return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: coordinate(0), y: coordinate(32) }, format: 'jwk' })
  } catch (cause) {
    throw new SignatureError('the attestation key is not a point of P-256', { cause })
  }
}

import type { Collateral } from '../../protocol/attestation/collateral.ts'
import { platformOf } from '../../protocol/attestation/pck.ts'
import { parseChain } from '../../protocol/attestation/pem.ts'
import { PCK_CHAIN_CERTIFICATION, type Quote } from '../../protocol/attestation/quote.ts'
import type { Certificate } from '../../protocol/attestation/x509.ts'
import { PerigeeError } from '../errors.ts'
import type { CollateralSource } from './collateral-source.ts'

/** The certificates that a quote carries: the platform's (PCK), its issuer's, and the root's. */
export interface PlatformCertificates {
  pck: Certificate
  issuer: Certificate
  root: Certificate
}

/** @throws PerigeeError VERIFICATION_FAILED when the quote does not carry them */
export function platformCertificates({ certificationData: { type, data } }: Quote): PlatformCertificates {
  try {
    if (type !== PCK_CHAIN_CERTIFICATION) throw new RangeError(`its certification data is of type ${type}`)
    const [pck, issuer, root] = parseChain(Buffer.from(data).toString('latin1'), 3) as [Certificate, Certificate, Certificate]
    return { pck, issuer, root }
  } catch (cause) {
    throw new PerigeeError('VERIFICATION_FAILED', `the quote has no certificates of its platform: ${(cause as Error).message}`, { cause })
  }
}

/** What a source has for the platform of these certificates. */
export function collateralFor(source: CollateralSource, tee: Quote['tee'], { pck, issuer }: PlatformCertificates, signal?: AbortSignal): Promise<Collateral> {
  const fmspc = Buffer.from(platformOf(pck).fmspc).toString('hex')
  return source.collateral({ fmspc, tee, ca: /processor/i.test(issuer.commonName) ? 'processor' : 'platform' }, signal)
}

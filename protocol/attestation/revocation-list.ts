/** Certificate revocation lists (RFC 5280, version 2). */
import { DerReader, small, TAG, time } from './der.ts'
import { CertificateError, expectAlgorithm, readExtensions, readSigned, type Signed, serialNumber } from './x509.ts'

export interface RevocationList {
  issuer: Uint8Array
  thisUpdate: Date
  nextUpdate: Date
  /** Serial numbers, as in `Certificate`. */
  revoked: ReadonlySet<string>
  signed: Signed
}

/** Reads a list from DER. One that covers only some certificates says so in a critical extension, and is refused like any unknown one. */
export function parseRevocationList(der: Uint8Array): RevocationList {
  const signed = readSigned(der, 'revocation list')
  const fields = new DerReader(signed.toBeSigned.content)
  if (small(fields.next(TAG.integer, 'version'), 255, 'version') !== 1) throw new CertificateError('the revocation list is not of version 2')
  expectAlgorithm(fields, signed)
  const issuer = fields.next(TAG.sequence, 'issuer').raw
  const thisUpdate = time(fields.any('thisUpdate'), 'thisUpdate')
  const nextUpdate = time(fields.any('nextUpdate'), 'nextUpdate')
  const revoked = new Set<string>()
  const entries = fields.optional(TAG.sequence, 'revoked certificates')
  for (const list = new DerReader(entries?.content ?? new Uint8Array(0)); !list.done; ) {
    const entry = list.inside(TAG.sequence, 'revoked certificate')
    revoked.add(serialNumber(entry.next(TAG.integer, 'serial number')))
    time(entry.any('revocation date'), 'revocation date')
    if (!entry.done) readExtensions(new DerReader(entry.next(TAG.sequence, 'extensions of an entry').raw), [])
    entry.end('revoked certificate')
  }
  readExtensions(fields.inside(TAG.context(0), 'extensions of the revocation list'), [])
  fields.end('revocation list')
  return { issuer, thisUpdate, nextUpdate, revoked, signed }
}

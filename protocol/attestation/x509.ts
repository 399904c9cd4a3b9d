/** X.509 certificates (RFC 5280) as the makers of TEEs issue them: version 3, elliptic curve keys, ECDSA signatures. Anything else is refused. */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { boolean, bytesOfBits, DerReader, type Element, namedBits, objectIdentifier, single, small, TAG, time, unsigned } from './der.ts'
import { EvidenceError } from './evidence-error.ts'

export class CertificateError extends EvidenceError {
  override name = 'CertificateError'
}

export interface Certificate {
  der: Uint8Array
  /** Lower-case hex without leading zeros. */
  serial: string
  /** DER of the names: compared byte for byte. */
  issuer: Uint8Array
  subject: Uint8Array
  commonName: string
  notBefore: Date
  notAfter: Date
  publicKey: KeyObject
  /** May sign certificates: basicConstraints cA and keyUsage keyCertSign. */
  isAuthority: boolean
  /** How many authorities may follow below this one. */
  pathLength: number
  keyUsage: number
  /** Value of an extension by its object identifier. */
  extensions: ReadonlyMap<string, Uint8Array>
  signed: Signed
}

/** What is signed, and how: the shape that certificates and revocation lists share. */
export interface Signed {
  toBeSigned: Element
  hash: 'sha256' | 'sha384'
  /** DER of r and s. */
  signature: Uint8Array
}

/** Bits of keyUsage, the first bit of the string being 0x8000. */
export const KEY_USAGE = { digitalSignature: 0x8000, keyCertSign: 0x0400, cRLSign: 0x0200 }

const BASIC_CONSTRAINTS = '2.5.29.19'
const KEY_USAGE_OID = '2.5.29.15'
const COMMON_NAME = '2.5.4.3'
const EC_PUBLIC_KEY = '1.2.840.10045.2.1'
const CURVES: Record<string, number> = { '1.2.840.10045.3.1.7': 32, '1.3.132.0.34': 48 }
const HASHES: Record<string, 'sha256' | 'sha384'> = { '1.2.840.10045.4.3.2': 'sha256', '1.2.840.10045.4.3.3': 'sha384' }

export function parseCertificate(der: Uint8Array): Certificate {
  const signed = readSigned(der, 'certificate')
  const fields = new DerReader(signed.toBeSigned.content)
  const version = fields.inside(TAG.context(0), 'version of the certificate')
  if (small(version.next(TAG.integer, 'version'), 255, 'version') !== 2) throw new CertificateError('the certificate is not of version 3')
  version.end('version')
  const serial = serialNumber(fields.next(TAG.integer, 'serial number'))
  expectAlgorithm(fields, signed)
  const issuer = fields.next(TAG.sequence, 'issuer').raw
  const validity = fields.inside(TAG.sequence, 'validity')
  const notBefore = time(validity.any('notBefore'), 'notBefore')
  const notAfter = time(validity.any('notAfter'), 'notAfter')
  validity.end('validity')
  const subject = fields.next(TAG.sequence, 'subject')
  const publicKey = readPublicKey(fields.next(TAG.sequence, 'public key'))
  const extensions = readExtensions(fields.inside(TAG.context(3), 'extensions of the certificate'), [BASIC_CONSTRAINTS, KEY_USAGE_OID])
  fields.end('certificate')

  const keyUsage = readKeyUsage(extensions.get(KEY_USAGE_OID))
  const constraints = readBasicConstraints(extensions.get(BASIC_CONSTRAINTS))
  const isAuthority = constraints.isAuthority && (keyUsage & KEY_USAGE.keyCertSign) !== 0
  const commonName = readCommonName(subject.content)
  return { der, serial, issuer, subject: subject.raw, commonName, notBefore, notAfter, publicKey, ...constraints, isAuthority, keyUsage, extensions, signed }
}

/** Whether the holder of `key` signed it. */
export function isSignedBy({ toBeSigned, hash, signature }: Signed, key: KeyObject): boolean {
  return verify(hash, toBeSigned.raw, key, signature)
}

/** Reads { to be signed, algorithm, signature }. */
export function readSigned(der: Uint8Array, what: string): Signed {
  const outer = new DerReader(single(der, TAG.sequence, what).content)
  const toBeSigned = outer.next(TAG.sequence, `content of the ${what}`)
  const hash = readAlgorithm(outer, `signature algorithm of the ${what}`)
  const signature = bytesOfBits(outer.next(TAG.bitString, `signature of the ${what}`), `signature of the ${what}`)
  outer.end(what)
  const parts = new DerReader(single(signature, TAG.sequence, 'signature').content)
  for (const part of ['r', 's']) unsigned(parts.next(TAG.integer, part), part)
  parts.end('signature')
  return { toBeSigned, hash, signature }
}

/** The algorithm named inside what is signed, which must be the one outside. */
export function expectAlgorithm(fields: DerReader, { hash }: Signed): void {
  if (readAlgorithm(fields, 'signature algorithm') !== hash) throw new CertificateError('two different signature algorithms are named')
}

export function serialNumber(element: Element): string {
  const bytes = unsigned(element, 'serial number')
  if (bytes.length > 20) throw new CertificateError(`a serial number has ${bytes.length} bytes, 20 are allowed`)
  return Buffer.from(bytes).toString('hex')
}

/** Extensions by object identifier. One that is critical and not among `understood` is refused, as is one that occurs twice. */
export function readExtensions(wrapped: DerReader, understood: string[]): Map<string, Uint8Array> {
  const list = wrapped.inside(TAG.sequence, 'extensions')
  wrapped.end('extensions')
  const found = new Map<string, Uint8Array>()
  while (!list.done) {
    const extension = list.inside(TAG.sequence, 'extension')
    const id = objectIdentifier(extension.next(TAG.objectIdentifier, 'id of an extension'), 'id of an extension')
    const flag = extension.optional(TAG.boolean, 'critical')
    const critical = flag !== undefined && boolean(flag, 'critical')
    if (flag && !critical) throw new CertificateError(`extension ${id} spells out a default, which DER does not`)
    const value = extension.next(TAG.octetString, `extension ${id}`).content
    extension.end(`extension ${id}`)
    if (critical && !understood.includes(id)) throw new CertificateError(`extension ${id} is critical and not known here`)
    if (found.has(id)) throw new CertificateError(`extension ${id} occurs twice`)
    found.set(id, value)
  }
  return found
}

function readAlgorithm(reader: DerReader, what: string): 'sha256' | 'sha384' {
  const algorithm = reader.inside(TAG.sequence, what)
  const id = objectIdentifier(algorithm.next(TAG.objectIdentifier, what), what)
  algorithm.end(what)
  const hash = HASHES[id]
  if (!hash) throw new CertificateError(`${what} is ${id}, which is not ECDSA with SHA-256 or SHA-384`)
  return hash
}

function readPublicKey(spki: Element): KeyObject {
  const fields = new DerReader(spki.content)
  const algorithm = fields.inside(TAG.sequence, 'algorithm of the public key')
  const [kind, curve] = ['kind', 'curve'].map((what) => objectIdentifier(algorithm.next(TAG.objectIdentifier, what), what))
  algorithm.end('algorithm of the public key')
  const point = bytesOfBits(fields.next(TAG.bitString, 'public key'), 'public key')
  fields.end('public key')
  const size = CURVES[curve!]
  if (kind !== EC_PUBLIC_KEY || !size) throw new CertificateError(`the public key is on curve ${curve}, which is neither P-256 nor P-384`)
  if (point[0] !== 4 || point.length !== 1 + 2 * size) throw new CertificateError('the public key is not an uncompressed point')
  try {
    return createPublicKey({ key: Buffer.from(spki.raw), format: 'der', type: 'spki' })
  } catch (cause) {
    throw new CertificateError('the public key is not a point of its curve', { cause })
  }
}

function readBasicConstraints(value: Uint8Array | undefined): { isAuthority: boolean; pathLength: number } {
  if (!value) return { isAuthority: false, pathLength: 0 }
  const fields = new DerReader(single(value, TAG.sequence, 'basicConstraints').content)
  const flag = fields.optional(TAG.boolean, 'cA')
  const isAuthority = flag !== undefined && boolean(flag, 'cA')
  if (flag && !isAuthority) throw new CertificateError('basicConstraints spells out a default, which DER does not')
  const length = isAuthority ? fields.optional(TAG.integer, 'pathLenConstraint') : undefined
  fields.end('basicConstraints')
  return { isAuthority, pathLength: length ? small(length, 255, 'pathLenConstraint') : Number.POSITIVE_INFINITY }
}

function readKeyUsage(value: Uint8Array | undefined): number {
  return value ? namedBits(single(value, TAG.bitString, 'keyUsage'), 'keyUsage') : 0
}

function readCommonName(name: Uint8Array): string {
  for (const names = new DerReader(name); !names.done; ) {
    const part = new DerReader(names.inside(TAG.set, 'part of a name').next(TAG.sequence, 'part of a name').content)
    const type = objectIdentifier(part.next(TAG.objectIdentifier, 'type of a name'), 'type of a name')
    const value = part.any('value of a name')
    if (type === COMMON_NAME) return Buffer.from(value.content).toString('utf8')
  }
  return ''
}

/** Whether a certificate leads up to a pinned root, today and unrevoked. Every function throws an EvidenceError where it does not. */
import { decodeChain } from './pem.ts'
import { parseRevocationList, type RevocationList } from './revocation-list.ts'
import { type Certificate, CertificateError, isSignedBy, KEY_USAGE, parseCertificate } from './x509.ts'

/** The part of a chain that a maker's convention fixes: words in the common name of each certificate, from the leaf up. */
export interface ChainShape {
  what: string
  names: RegExp[]
}

/**
 * Reads a chain from PEM, leaf first, and checks names, signatures, dates and roles along it. Its last certificate must be `root`, byte for byte:
 * so nothing is learned from that one's signature, and it is not checked. Revocation is checked apart, for it needs what this authenticates.
 */
export function checkChain(pem: string, root: Uint8Array, now: Date, shape: ChainShape): Certificate[] {
  const ders = decodeChain(pem, shape.names.length)
  if (Buffer.compare(ders.at(-1)!, root) !== 0) throw new CertificateError(`the ${shape.what} does not end in the pinned root certificate`)
  const chain = ders.map(parseCertificate)
  chain.forEach((certificate, i) => {
    const issuer = chain[i + 1]
    const name = `certificate "${certificate.commonName}"`
    if (!shape.names[i]!.test(certificate.commonName)) throw new CertificateError(`${name} has another place than at ${i} of the ${shape.what}`)
    if (now < certificate.notBefore || now > certificate.notAfter) {
      throw new CertificateError(`${name} is valid from ${certificate.notBefore.toISOString()} to ${certificate.notAfter.toISOString()}`)
    }
    if (issuer && Buffer.compare(certificate.issuer, issuer.subject) !== 0) throw new CertificateError(`${name} was not issued by "${issuer.commonName}"`)
    if (issuer && !isSignedBy(certificate.signed, issuer.publicKey)) throw new CertificateError(`the signature of ${name} is wrong`)
    if (i === 0) checkLeaf(certificate, name)
    else checkAuthority(certificate, name, i - 1)
  })
  return chain
}

/** Reads a revocation list and checks that `issuer`, itself checked, signed it, and that it is current. */
export function checkRevocationList(der: Uint8Array, issuer: Certificate, now: Date): RevocationList {
  const list = parseRevocationList(der)
  const name = `revocation list of "${issuer.commonName}"`
  if (Buffer.compare(list.issuer, issuer.subject) !== 0) throw new CertificateError(`this is not the ${name}`)
  if ((issuer.keyUsage & KEY_USAGE.cRLSign) === 0) throw new CertificateError(`"${issuer.commonName}" may not sign revocation lists`)
  if (!isSignedBy(list.signed, issuer.publicKey)) throw new CertificateError(`the signature of the ${name} is wrong`)
  if (now < list.thisUpdate || now > list.nextUpdate) {
    throw new CertificateError(`the ${name} is valid from ${list.thisUpdate.toISOString()} to ${list.nextUpdate.toISOString()}`)
  }
  return list
}

export function checkNotRevoked(certificate: Certificate, list: RevocationList): void {
  if (Buffer.compare(certificate.issuer, list.issuer) !== 0) throw new CertificateError(`"${certificate.commonName}" is not covered by the revocation list`)
  if (list.revoked.has(certificate.serial)) throw new CertificateError(`certificate "${certificate.commonName}" (${certificate.serial}) is revoked`)
}

function checkLeaf(certificate: Certificate, name: string): void {
  if (certificate.isAuthority) throw new CertificateError(`${name} is that of an authority`)
  if ((certificate.keyUsage & KEY_USAGE.digitalSignature) === 0) throw new CertificateError(`${name} is not for signatures`)
}

function checkAuthority(certificate: Certificate, name: string, authoritiesBelow: number): void {
  if (!certificate.isAuthority) throw new CertificateError(`${name} may not sign certificates`)
  if (authoritiesBelow > certificate.pathLength)
    throw new CertificateError(`${name} has ${authoritiesBelow} authorities below, ${certificate.pathLength} are allowed`)
}

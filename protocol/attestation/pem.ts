/** Chains of certificates as PEM (RFC 7468), strictly: lines of 64 characters, nothing between the certificates, one encoding of every byte. */
import { type Certificate, CertificateError, parseCertificate } from './x509.ts'

const BEGIN = '-----BEGIN CERTIFICATE-----'
const END = '-----END CERTIFICATE-----'

/** The certificates of a chain of exactly `count`. */
export function parseChain(text: string, count: number): Certificate[] {
  return decodeChain(text, count).map(parseCertificate)
}

/** DER of exactly `count` certificates. A single zero byte may end the text, as it does in quotes. */
export function decodeChain(text: string, count: number): Uint8Array[] {
  const lines = text
    .replace(/\n\0$/, '\n')
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
  const found: Uint8Array[] = []
  for (let at = 0; at < lines.length; ) {
    if (lines[at] !== BEGIN) throw new CertificateError(`line ${at + 1} of the chain is not the beginning of a certificate`)
    const end = lines.indexOf(END, at)
    if (end < 0) throw new CertificateError('the chain is cut short')
    if (found.length === count) throw new CertificateError(`the chain has more than ${count} certificates`)
    found.push(decode(lines.slice(at + 1, end)))
    at = end + 1
  }
  if (found.length !== count) throw new CertificateError(`the chain has ${found.length} certificates instead of ${count}`)
  return found
}

function decode(lines: string[]): Uint8Array {
  const base64 = lines.join('')
  const der = Buffer.from(base64, 'base64')
  const shaped = lines.every((line, i) => (i < lines.length - 1 ? line.length === 64 : line.length > 0 && line.length <= 64))
  if (lines.length === 0 || !shaped || der.toString('base64') !== base64)
    throw new CertificateError('a certificate of the chain is not base64 in lines of 64 characters')
  return new Uint8Array(der)
}

import { expect } from 'chai'
import { DerReader, TAG } from '../../../protocol/attestation/der.ts'
import { EvidenceError } from '../../../protocol/attestation/evidence-error.ts'
import { platformOf } from '../../../protocol/attestation/pck.ts'
import { parseQuote } from '../../../protocol/attestation/quote.ts'
import { parseRevocationList } from '../../../protocol/attestation/revocation-list.ts'
import { createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { parseCertificate } from '../../../protocol/attestation/x509.ts'

/** An element with what is in it, also where that is wrapped in a string of bytes or bits (`prefix`: the count of unused bits). */
interface Node {
  tag: number
  prefix: number[]
  content: Uint8Array
  children?: Node[]
}

const NULL: Node = { tag: 5, prefix: [], content: new Uint8Array(0) }

function parse(bytes: Uint8Array): Node[] {
  const found: Node[] = []
  for (const reader = new DerReader(bytes); !reader.done; ) {
    const { tag, content } = reader.any('element')
    const prefix = tag === TAG.bitString ? [...content.subarray(0, 1)] : []
    const inner = content.subarray(prefix.length)
    const wraps = (tag === TAG.octetString || tag === TAG.bitString) && inner[0] === TAG.sequence
    found.push({ tag, prefix, content, ...((tag & 0x20) !== 0 || wraps ? { children: parse(inner) } : {}) })
  }
  return found
}

function encode({ tag, prefix, content, children }: Node): Uint8Array {
  const bytes = children ? Buffer.concat([Buffer.from(prefix), ...children.map(encode)]) : content
  const size = bytes.length
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff]
  return new Uint8Array(Buffer.concat([Buffer.from([tag, ...length]), bytes]))
}

/** Paths of the elements that may hold one more element, unnoticed. Signatures are not checked here: they would hide what the parser forgives. */
function forgiven(der: Uint8Array, read: (der: Uint8Array) => unknown): string[] {
  const [root] = parse(der) as [Node]
  const paths: string[] = []
  const visit = (node: Node, path: string) => {
    if (!node.children) return
    node.children.push(NULL)
    try {
      read(encode(root))
      paths.push(path)
    } catch (error) {
      expect(error).to.be.instanceOf(EvidenceError)
    }
    node.children.pop()
    node.children.forEach((child, i) => {
      visit(child, `${path}.${i}`)
    })
  }
  expect(encode(root)).to.deep.equal(der)
  visit(root, '0')
  return paths
}

/** All elements below these paths are compared as a whole, or not read at all. */
const outside = (paths: string[], ignored: string[]) => paths.filter((path) => !ignored.some((one) => path === one || path.startsWith(`${one}.`)))

describe('one element more in any element', () => {
  const pki = createSimulatedPki()
  const [ISSUER, SUBJECT, AUTHORITY_KEY_IDENTIFIER] = ['0.0.3', '0.0.5', '0.0.7.0.0.1']

  it('of a certificate is noticed', () => {
    const paths = forgiven(pki.certificates.pck, (der) => platformOf(parseCertificate(der)))
    const SGX_CONFIGURATION = '0.0.7.0.4.1.0.6.1' // extension 1.2.840.113741.1.13.1.7: says nothing that is judged
    expect(outside(paths, [ISSUER, SUBJECT, AUTHORITY_KEY_IDENTIFIER, SGX_CONFIGURATION])).to.deep.equal([])
    expect(paths).to.include(AUTHORITY_KEY_IDENTIFIER)
    expect(outside(forgiven(pki.certificates.root, parseCertificate), [ISSUER, SUBJECT, AUTHORITY_KEY_IDENTIFIER])).to.deep.equal([])
  })

  it('of a revocation list is noticed', () => {
    const list = new Uint8Array(Buffer.from(pki.collateral(new Date('2026-02-20T00:00:00Z')).pck_crl, 'hex'))
    expect(outside(forgiven(list, parseRevocationList), ['0.0.2', '0.0.6.0.1.1'])).to.deep.equal([])
  })

  it('of a public key or a key usage is noticed', () => {
    const certificate = () => parse(pki.certificates.pck)[0]!
    const fields = (root: Node) => root.children![0]!.children!
    const withKey = certificate()
    fields(withKey)[6]!.children!.push(NULL)
    expect(() => parseCertificate(encode(withKey))).to.throw(EvidenceError, 'bytes too many at the end of public key')
    const withAlgorithm = certificate()
    fields(withAlgorithm)[6]!.children![0]!.children!.push(NULL)
    expect(() => parseCertificate(encode(withAlgorithm))).to.throw(EvidenceError, 'bytes too many at the end of algorithm of the public key')
    const withUsage = certificate()
    const [, , value] = fields(withUsage)[7]!.children![0]!.children![2]!.children!
    value!.content = Buffer.concat([value!.content, encode(NULL)])
    expect(() => parseCertificate(encode(withUsage))).to.throw(EvidenceError, 'bytes too many at the end of keyUsage')
  })

  it('of the signature data of a quote is noticed', () => {
    const quote = pki.quote({ reportData: new Uint8Array(64) })
    const longer = Buffer.concat([quote, Buffer.from([1])])
    longer.writeUInt32LE(longer.readUInt32LE(632) + 1, 632)
    expect(() => parseQuote(longer)).to.throw(EvidenceError, '1 bytes too many at the end of the signature data')
  })
})

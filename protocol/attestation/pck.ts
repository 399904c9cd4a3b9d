/** What a platform's certificate (PCK) says of it, in Intel's extension 1.2.840.113741.1.13.1. Source: Intel SGX PCK Certificate and CRL Profile, 1.3.5. */
import { DerReader, type Element, objectIdentifier, single, small, TAG } from './der.ts'
import { type Certificate, CertificateError } from './x509.ts'

export interface Platform {
  /** 6 bytes: family, model, stepping and more of the processor. */
  fmspc: Uint8Array
  /** 2 bytes. */
  pceId: Uint8Array
  /** 16 versions of components. */
  components: number[]
  pceSvn: number
}

const SGX = '1.2.840.113741.1.13.1'
const TCB = `${SGX}.2`
const COMPONENTS = 16

export function platformOf(pck: Certificate): Platform {
  const extension = pck.extensions.get(SGX)
  if (!extension) throw new CertificateError(`certificate "${pck.commonName}" has no SGX extension: it is not that of a platform`)
  const parts = entries(single(extension, TAG.sequence, 'SGX extension'))
  const tcb = entries(part(parts, TCB, TAG.sequence))
  return {
    fmspc: sizedPart(parts, `${SGX}.4`, 6),
    pceId: sizedPart(parts, `${SGX}.3`, 2),
    components: Array.from({ length: COMPONENTS }, (_, i) => small(part(tcb, `${TCB}.${i + 1}`, TAG.integer), 255, `component ${i + 1}`)),
    pceSvn: small(part(tcb, `${TCB}.17`, TAG.integer), 65_535, 'PCE SVN'),
  }
}

/** A SEQUENCE of { id, value }, each id once. */
function entries(element: Element): Map<string, Element> {
  const found = new Map<string, Element>()
  for (const list = new DerReader(element.content); !list.done; ) {
    const entry = list.inside(TAG.sequence, 'part of the SGX extension')
    const id = objectIdentifier(entry.next(TAG.objectIdentifier, 'id of a part'), 'id of a part')
    if (found.has(id)) throw new CertificateError(`part ${id} of the SGX extension occurs twice`)
    found.set(id, entry.any(`part ${id}`))
    entry.end(`part ${id}`)
  }
  return found
}

function part(parts: Map<string, Element>, id: string, tag: number): Element {
  const element = parts.get(id)
  if (element?.tag !== tag) throw new CertificateError(`part ${id} of the SGX extension is missing or of another type`)
  return element
}

function sizedPart(parts: Map<string, Element>, id: string, size: number): Uint8Array {
  const { content } = part(parts, id, TAG.octetString)
  if (content.length !== size) throw new CertificateError(`part ${id} of the SGX extension has ${content.length} bytes instead of ${size}`)
  return content
}

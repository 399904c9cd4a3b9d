/**
 * Distinguished Encoding Rules (X.690), strictly: every value has one encoding, and another is refused. Parsers that forgive are how two verifiers
 * come to disagree on one certificate.
 */
import { EvidenceError } from './evidence-error.ts'

/** The bytes are not DER, or not the structure that belongs there. */
export class DerError extends EvidenceError {
  override name = 'DerError'
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** [n] EXPLICIT, and [n] IMPLICIT of something constructed. */
  context: (n: number) => 0xa0 | n,
}

export interface Element {
  tag: number
  content: Uint8Array
  /** With tag and length. */
  raw: Uint8Array
}

/** Reads consecutive elements forward, and never past the end. */
export class DerReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  /** The next element, which must have the tag. */
  next(tag: number, what: string): Element {
    const element = this.any(what)
    if (element.tag !== tag) throw new DerError(`${what} has tag ${element.tag} instead of ${tag}`)
    return element
  }

  any(what: string): Element {
    const start = this.#at
    const tag = this.#byte(what)
    if ((tag & 0x1f) === 0x1f) throw new DerError(`${what} has a tag of several bytes`)
    const size = this.#length(what)
    if (size > this.#bytes.length - this.#at) throw new DerError(`${what} has ${size} bytes, ${this.#bytes.length - this.#at} are left`)
    const content = this.#bytes.subarray(this.#at, this.#at + size)
    this.#at += size
    return { tag, content, raw: this.#bytes.subarray(start, this.#at) }
  }

  /** The next element if it has the tag. */
  optional(tag: number, what: string): Element | undefined {
    return this.#bytes[this.#at] === tag ? this.any(what) : undefined
  }

  /** Reads into the next element. */
  inside(tag: number, what: string): DerReader {
    return new DerReader(this.next(tag, what).content)
  }

  end(what: string): void {
    if (!this.done) throw new DerError(`${this.#bytes.length - this.#at} bytes too many at the end of ${what}`)
  }

  #byte(what: string): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw new DerError(`${what} is missing`)
    this.#at++
    return byte
  }

  #length(what: string): number {
    const first = this.#byte(what)
    if (first < 0x80) return first
    const count = first & 0x7f
    if (count === 0 || count > 3) throw new DerError(`${what} has a length of ${count === 0 ? 'indefinite form' : `${count} bytes`}`)
    let size = 0
    for (let i = 0; i < count; i++) size = size * 256 + this.#byte(what)
    if (size < 0x80 || size < 256 ** (count - 1)) throw new DerError(`${what} has a length that is not in its shortest form`)
    return size
  }
}

/** The one element that `bytes` are. */
export function single(bytes: Uint8Array, tag: number, what: string): Element {
  const reader = new DerReader(bytes)
  const element = reader.next(tag, what)
  reader.end(what)
  return element
}

export function boolean(element: Element, what: string): boolean {
  const [value] = element.content
  if (element.content.length !== 1 || (value !== 0x00 && value !== 0xff)) throw new DerError(`${what} is neither true (ff) nor false (00)`)
  return value === 0xff
}

/** Content of an INTEGER that is not negative, without the zero that only keeps it positive; zero is one byte. */
export function unsigned(element: Element, what: string): Uint8Array {
  const [first, second] = element.content
  if (first === undefined) throw new DerError(`${what} is an integer without bytes`)
  if (first & 0x80) throw new DerError(`${what} is negative`)
  if (first !== 0 || second === undefined) return element.content
  if (!(second & 0x80)) throw new DerError(`${what} is an integer that is not in its shortest form`)
  return element.content.subarray(1)
}

/** An INTEGER in 0 … `max` (below 2^48). */
export function small(element: Element, max: number, what: string): number {
  const bytes = unsigned(element, what)
  const value = bytes.length > 6 ? Number.POSITIVE_INFINITY : Buffer.from(bytes).readUIntBE(0, bytes.length)
  if (value > max) throw new DerError(`${what} is above ${max}`)
  return value
}

/** Content of a BIT STRING of whole bytes. */
export function bytesOfBits(element: Element, what: string): Uint8Array {
  if (element.content[0] !== 0) throw new DerError(`${what} is not a string of whole bytes`)
  return element.content.subarray(1)
}

/** A BIT STRING of named bits, at most 16: bit 0, the first, is 0x8000. DER drops zeros at the end. */
export function namedBits(element: Element, what: string): number {
  const [unused, ...bytes] = element.content
  const last = bytes.at(-1)
  if (unused === undefined || unused > 7 || last === undefined || bytes.length > 2 || ((last >> unused) & 1) === 0 || last & ((1 << unused) - 1)) {
    throw new DerError(`${what} is not a string of named bits in its shortest form`)
  }
  return (bytes[0]! << 8) | (bytes[1] ?? 0)
}

/** An OBJECT IDENTIFIER in dotted form. */
export function objectIdentifier(element: Element, what: string): string {
  const arcs: number[] = []
  let arc = 0
  let fresh = true
  for (const byte of element.content) {
    if (fresh && byte === 0x80) throw new DerError(`${what} is an object identifier that is not in its shortest form`)
    arc = arc * 128 + (byte & 0x7f)
    if (!Number.isSafeInteger(arc)) throw new DerError(`${what} is an object identifier with a number that is too large`)
    fresh = (byte & 0x80) === 0
    if (!fresh) continue
    if (arcs.length === 0) arcs.push(Math.min(2, Math.floor(arc / 40)), arc - 40 * Math.min(2, Math.floor(arc / 40)))
    else arcs.push(arc)
    arc = 0
  }
  if (!fresh || arcs.length === 0) throw new DerError(`${what} is an object identifier that is cut short`)
  return arcs.join('.')
}

/** Time as RFC 5280 has it: UTCTime through 2049, GeneralizedTime after; seconds, UTC, no fraction. */
export function time(element: Element, what: string): Date {
  const text = Buffer.from(element.content).toString('latin1')
  const utc = element.tag === TAG.utcTime
  if (!utc && element.tag !== TAG.generalizedTime) throw new DerError(`${what} has tag ${element.tag}, which is no time`)
  const digits = utc ? text.replace(/^\d\d/, (yy) => `${Number(yy) < 50 ? 20 : 19}${yy}`) : text
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits)
  const iso = parts && `${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}.000Z`
  const date = new Date(iso ?? Number.NaN)
  if (Number.isNaN(date.getTime()) || date.toISOString() !== iso) throw new DerError(`${what} is not a time: ${JSON.stringify(text)}`)
  if (!utc && date.getUTCFullYear() < 2050) throw new DerError(`${what} is a GeneralizedTime before 2050`)
  return date
}

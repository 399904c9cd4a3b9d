/** Seeded changes to quotes and their collateral, as an attacker or a broken cache would make them. */
import fc from 'fast-check'
import type { Collateral } from '../../../protocol/attestation/collateral.ts'
import type { Evidence } from './evidence.ts'

export interface Case {
  quote: Uint8Array
  collateral: Collateral
  now: Date
}

export interface Mutation {
  /** What was changed, and how. */
  field: 'quote' | 'now' | keyof Collateral
  what: string
  apply(evidence: Case): Case
}

type Field = keyof Collateral

const FIELDS: Field[] = [
  'pck_crl_issuer_chain',
  'root_ca_crl',
  'pck_crl',
  'tcb_info_issuer_chain',
  'tcb_info',
  'tcb_info_signature',
  'qe_identity_issuer_chain',
  'qe_identity',
  'qe_identity_signature',
]
const DAY = 86_400_000

const mask = fc.constantFrom(1, 2, 4, 8, 16, 32, 64, 128, 255)
const fraction = fc.noBias(fc.nat(2 ** 30 - 1)).map((n) => n / 2 ** 30)
const inText = fc.tuple(fc.constantFrom(...FIELDS), fraction)

const ofQuote = (what: string, change: (quote: Uint8Array) => Uint8Array): Mutation => ({
  field: 'quote',
  what,
  apply: (evidence) => ({ ...evidence, quote: change(evidence.quote) }),
})
const ofField = (field: Field, what: string, change: (text: string) => string): Mutation => ({
  field,
  what,
  apply: ({ collateral, ...rest }) => ({ ...rest, collateral: { ...collateral, [field]: change(collateral[field]) } }),
})
/** Only characters that can be part of such a text, so that most changes reach the cryptography. */
const otherDigit = (text: string, at: number) => (text[at] === '7' ? '3' : '7')

export function mutations(donors: Evidence[]): fc.Arbitrary<Mutation> {
  const donor = fc.constantFrom(...donors)
  return fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fraction, mask).map(([at, bits]) => ofQuote(`byte flipped at ${at}`, (quote) => flip(quote, at, bits))) },
    { weight: 1, arbitrary: fraction.map((at) => ofQuote('cut short', (quote) => quote.slice(0, Math.floor(at * quote.length)))) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 9 }).map((tail) => ofQuote('bytes appended', (quote) => Buffer.concat([quote, tail]))) },
    {
      weight: 2,
      arbitrary: fc.tuple(donor, fraction, fc.integer({ min: 1, max: 600 })).map(([from, at, size]) =>
        ofQuote(`part of ${from.name}`, (quote) => {
          const start = Math.floor(at * quote.length)
          const mixed = quote.slice()
          mixed.set(from.quote.subarray(start, Math.min(start + size, quote.length)), start)
          return mixed
        }),
      ),
    },
    {
      weight: 4,
      arbitrary: inText.map(([field, at]) =>
        ofField(field, 'character changed', (text) => {
          const i = Math.floor(at * text.length)
          return `${text.slice(0, i)}${otherDigit(text, i)}${text.slice(i + 1)}`
        }),
      ),
    },
    { weight: 2, arbitrary: inText.map(([field, at]) => ofField(field, 'cut short', (text) => text.slice(0, Math.floor(at * text.length)))) },
    {
      weight: 2,
      arbitrary: fc.tuple(donor, fc.constantFrom(...FIELDS)).map(([from, field]) => ofField(field, 'of other collateral', () => from.collateral[field])),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Mutation>(
        { field: 'root_ca_crl', what: 'the other list', apply: (e) => ({ ...e, collateral: { ...e.collateral, root_ca_crl: e.collateral.pck_crl } }) },
        { field: 'pck_crl', what: 'the other list', apply: (e) => ({ ...e, collateral: { ...e.collateral, pck_crl: e.collateral.root_ca_crl } }) },
      ),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(-3650, -365, -40, -20, 20, 40, 400, 4000, 12_000).map(
        (days): Mutation => ({
          field: 'now',
          what: `${days} days`,
          apply: (evidence) => ({ ...evidence, now: new Date(evidence.now.getTime() + days * DAY) }),
        }),
      ),
    },
  )
}

function flip(bytes: Uint8Array, at: number, bits: number): Uint8Array {
  const i = Math.floor(at * bytes.length)
  return bytes.with(i, bytes[i]! ^ bits)
}

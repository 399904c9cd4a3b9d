import { Integer, ObjectIdentifier } from 'asn1js'
import { expect } from 'chai'
import fc from 'fast-check'
import {
  boolean,
  bytesOfBits,
  DerError,
  DerReader,
  namedBits,
  objectIdentifier,
  single,
  small,
  TAG,
  time,
  unsigned,
} from '../../../protocol/attestation/der.ts'

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const element = (hex: string) => new DerReader(bytes(hex)).any('value')
const refuses = (read: () => unknown, detail: string) => expect(read, detail).to.throw(DerError, detail)

describe('DER', () => {
  it('has lengths in their shortest form only, and no more bytes than there are', () => {
    expect(element('04 02 0102').content).to.deep.equal(bytes('0102'))
    expect(element(`04 81 80 ${'00'.repeat(128)}`).content).to.have.length(128)
    expect(element(`04 82 0100 ${'00'.repeat(256)}`).content).to.have.length(256)
    for (const [hex, detail] of [
      ['', 'is missing'],
      ['04', 'is missing'],
      ['04 02 01', 'has 2 bytes, 1 are left'],
      ['04 81 02 0102', 'shortest form'],
      [`04 82 0080 ${'00'.repeat(128)}`, 'shortest form'],
      [`04 83 000100 ${'00'.repeat(256)}`, 'shortest form'],
      ['04 80 0000', 'indefinite'],
      ['04 84 00000001 00', 'a length of 4 bytes'],
      ['04 82 01', 'is missing'],
      ['1f 81 00', 'tag of several bytes'],
    ] as const) {
      refuses(() => element(hex), detail)
    }
  })

  it('is read forward, with a name for what is missing or too much', () => {
    const reader = new DerReader(bytes('020101 040100'))
    expect(reader.optional(TAG.octetString, 'first')).to.equal(undefined)
    refuses(() => new DerReader(bytes('020101')).next(TAG.octetString, 'the first'), 'the first has tag 2 instead of 4')
    reader.next(TAG.integer, 'first')
    refuses(() => reader.end('the list'), '3 bytes too many at the end of the list')
    expect(reader.optional(TAG.octetString, 'second')?.content).to.deep.equal(bytes('00'))
    expect(reader.done).to.equal(true)
    refuses(() => single(bytes('020101 00'), TAG.integer, 'number'), '1 bytes too many')
  })

  it('has one form of every value', () => {
    expect([boolean(element('0101ff'), 'flag'), boolean(element('010100'), 'flag')]).to.deep.equal([true, false])
    for (const hex of ['010101', '0100', '0102ffff']) refuses(() => boolean(element(hex), 'flag'), 'flag is neither true')
    refuses(() => unsigned(element('0200'), 'n'), 'without bytes')
    refuses(() => unsigned(element('020180'), 'n'), 'negative')
    refuses(() => unsigned(element('02020001'), 'n'), 'shortest form')
    expect(unsigned(element('02020080'), 'n')).to.deep.equal(bytes('80'))
    expect(unsigned(element('020100'), 'n')).to.deep.equal(bytes('00'))
    expect(small(element('020200ff'), 255, 'n')).to.equal(255)
    refuses(() => small(element('02020100'), 255, 'n'), 'above 255')
    refuses(() => small(element('0207ffffffffffffff'.replace('ff', '7f')), 255, 'n'), 'above 255')
    expect(bytesOfBits(element('03020001'), 'bits')).to.deep.equal(bytes('01'))
    for (const hex of ['0300', '03020101']) refuses(() => bytesOfBits(element(hex), 'bits'), 'whole bytes')
    expect(namedBits(element('030206c0'), 'bits')).to.equal(0xc000)
    expect(namedBits(element('0303070080'), 'bits')).to.equal(0x0080)
    for (const hex of ['0300', '030100', '030208c0', '030207c0', '030206c1', '03020600', '03040000 0080'])
      refuses(() => namedBits(element(hex), 'bits'), 'named bits')
  })

  it('has object identifiers in their shortest form', () => {
    for (const hex of ['0600', '06022a80', '06038001 01', '0604 2a808601', `06 0a 2a ${'ff'.repeat(8)} 7f`]) {
      refuses(() => objectIdentifier(element(hex), 'id'), 'is an object identifier')
    }
  })

  it('has times as RFC 5280 has them', () => {
    const read = (tag: number, text: string) => time({ tag, content: Buffer.from(text), raw: new Uint8Array(0) }, 'time')
    expect(read(TAG.utcTime, '491231235959Z')).to.deep.equal(new Date('2049-12-31T23:59:59Z'))
    expect(read(TAG.utcTime, '500101000000Z')).to.deep.equal(new Date('1950-01-01T00:00:00Z'))
    expect(read(TAG.utcTime, '240229000000Z')).to.deep.equal(new Date('2024-02-29T00:00:00Z'))
    expect(read(TAG.generalizedTime, '99991231235959Z')).to.deep.equal(new Date('9999-12-31T23:59:59Z'))
    for (const text of [
      '230229000000Z',
      '231301000000Z',
      '230101240000Z',
      '230101006000Z',
      '2301010000Z',
      '230101000000+0100',
      '230101000000',
      '23010100000 Z',
      '',
    ]) {
      refuses(() => read(TAG.utcTime, text), 'is not a time')
    }
    refuses(() => read(TAG.generalizedTime, '20491231235959Z'), 'a GeneralizedTime before 2050')
    refuses(() => read(TAG.generalizedTime, '20501231235959.5Z'), 'is not a time')
    refuses(() => read(TAG.integer, '230101000000Z'), 'which is no time')
  })

  it('agrees with an independent encoder', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 48n - 1n }), (value) => {
        expect(small(element(Buffer.from(Integer.fromBigInt(value).toBER()).toString('hex')), Number(2n ** 48n), 'n')).to.equal(Number(value))
      }),
      { seed: 1 },
    )
    const arcs = fc.tuple(fc.nat(2), fc.nat(39), fc.array(fc.nat(2 ** 31 - 1), { maxLength: 6 }))
    fc.assert(
      fc.property(arcs, ([first, second, rest]) => {
        const value = [first, second, ...rest].join('.')
        expect(objectIdentifier(element(Buffer.from(new ObjectIdentifier({ value }).toBER()).toString('hex')), 'id')).to.equal(value)
      }),
      { seed: 1 },
    )
  })
})

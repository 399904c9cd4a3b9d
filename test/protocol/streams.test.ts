import * as client from '@0gfoundation/0g-ts-sdk'
import { expect } from 'chai'
import { concat, getBytes, hexlify, sha256, toUtf8Bytes } from 'ethers'
import fc from 'fast-check'
import {
  ANY_VERSION,
  CONTROL_OPS,
  type ControlOp,
  decodeStreamData,
  encodeStreamData,
  lastControls,
  lastWrites,
  STREAM_TAG,
  type StreamControl,
  type StreamData,
  StreamDataBuilder,
  StreamDataError,
  streamsOfTags,
  tagsOfStreams,
} from '../../protocol/storage/streams.ts'
import vectors from '../vectors/storage-vectors.json' with { type: 'json' }

fc.configureGlobal({ seed: 1 })

const [plain, controlled] = vectors.kv.vectors as [(typeof vectors.kv.vectors)[number], (typeof vectors.kv.vectors)[number]]
const A = `0x${'00'.repeat(31)}f2`
const B = `0x${'ab'.repeat(32)}`
const alice = `0x${'11'.repeat(20)}`
const bob = `0x${'22'.repeat(20)}`
const text = (s: string): Uint8Array => (s.startsWith('0x') ? getBytes(s) : toUtf8Bytes(s))

const bytes = (maxLength: number, minLength = 0) => fc.uint8Array({ minLength, maxLength })
const stream = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => hexlify(b))
const account = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((b) => hexlify(b))
const control = fc.constantFrom(...(Object.keys(CONTROL_OPS) as ControlOp[])).chain((op) =>
  fc.record<StreamControl>({
    op: fc.constant(op),
    stream,
    ...(CONTROL_OPS[op].key ? { key: bytes(40, 1) } : {}),
    ...(CONTROL_OPS[op].account ? { account } : {}),
  } as never),
)
const anyData = fc.record<StreamData>({
  version: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  reads: fc.array(fc.record({ stream, key: bytes(40, 1) }), { maxLength: 5 }),
  writes: fc.array(fc.record({ stream, key: bytes(40, 1), value: bytes(300) }), { maxLength: 5 }),
  controls: fc.array(control, { maxLength: 5 }),
})

describe('stream data', () => {
  describe('encoding', () => {
    it('given the writes of the first vector, the builder gives its bytes and tags', () => {
      const builder = new StreamDataBuilder()
      for (const [stream, key, value] of plain.writes as [string, string, string][]) builder.set(stream, text(key), text(value))
      const { data, tags } = builder.build()
      expect(hexlify(data)).to.equal(plain.encoded)
      expect(tags).to.equal(plain.tags)
    })

    it('given the controls of the second vector, the builder gives its bytes and tags', () => {
      const key = text('sk')
      const { data, tags } = new StreamDataBuilder(1n)
        .set(A, text('a'), text('b'))
        .control('GRANT_WRITER_ROLE', A, { account: alice })
        .control('SET_KEY_TO_SPECIAL', A, { key })
        .control('GRANT_SPECIAL_WRITER_ROLE', A, { key, account: bob })
        .build()
      expect(hexlify(data)).to.equal(controlled.encoded)
      expect(tags).to.equal(controlled.tags)
    })

    it('given any writes and reads, the public builder gives the same bytes', () => {
      fc.assert(
        fc.property(fc.array(fc.record({ stream, key: bytes(20, 1), value: bytes(50) }), { minLength: 1, maxLength: 6 }), (writes) => {
          const theirs = new client.StreamDataBuilder(Number.MAX_SAFE_INTEGER)
          const ours = new StreamDataBuilder()
          // The public builder groups by stream, so one stream keeps the order comparable.
          for (const { key, value } of writes) {
            theirs.set(A, key, value)
            ours.set(A, key, value)
          }
          expect(ours.build().data).to.deep.equal(theirs.build().encode())
        }),
      )
    })

    it('the domain of the tags is the SHA-256 of STREAM', () => {
      expect(STREAM_TAG).to.equal(sha256(toUtf8Bytes('STREAM')))
    })

    it('decoding gives back what was encoded', () => {
      fc.assert(
        fc.property(anyData, (data) => {
          expect(decodeStreamData(encodeStreamData(data))).to.deep.equal(data)
        }),
      )
    })

    it('decoding the vectors gives their writes and controls', () => {
      const first = decodeStreamData(getBytes(plain.encoded))
      expect(first.version).to.equal(ANY_VERSION)
      expect(first.writes.map(({ stream, key, value }) => [stream, hexlify(key), hexlify(value)])).to.deep.equal(
        (plain.writes as string[][]).map(([stream, key, value]) => [stream, hexlify(text(key!)), hexlify(text(value!))]),
      )
      expect(decodeStreamData(getBytes(controlled.encoded)).controls.map(({ op }) => op)).to.deep.equal([
        'GRANT_WRITER_ROLE',
        'SET_KEY_TO_SPECIAL',
        'GRANT_SPECIAL_WRITER_ROLE',
      ])
    })

    it('an empty key, a malformed stream id, a missing or a needless argument is refused', () => {
      const build = (data: Partial<StreamData>) => () => encodeStreamData({ version: 0n, reads: [], writes: [], controls: [], ...data })
      expect(build({ reads: [{ stream: A, key: new Uint8Array(0) }] })).to.throw(StreamDataError, 'must not be empty')
      expect(build({ reads: [{ stream: '0x12', key: text('k') }] })).to.throw(StreamDataError, '64 hex digits')
      expect(build({ controls: [{ op: 'GRANT_ADMIN_ROLE', stream: A }] })).to.throw(StreamDataError, 'takes no key and an account')
      expect(build({ controls: [{ op: 'RENOUNCE_ADMIN_ROLE', stream: A, account: bob }] })).to.throw(StreamDataError, 'no account')
      expect(build({ version: -1n })).to.throw(StreamDataError, 'does not fit 8 bytes')
      expect(build({ version: 2n ** 64n })).to.throw(StreamDataError, 'does not fit 8 bytes')
    })
  })

  describe('strictness', () => {
    it('every proper prefix of a file, and the file with a byte more, is refused', () => {
      for (const encoded of [getBytes(plain.encoded), getBytes(controlled.encoded)]) {
        for (let size = 0; size < encoded.length; size++) expect(() => decodeStreamData(encoded.subarray(0, size))).to.throw(StreamDataError)
        expect(() => decodeStreamData(getBytes(concat([encoded, '0x00'])))).to.throw(StreamDataError, '1 bytes follow the controls')
      }
    })

    it('arbitrary bytes decode to something that encodes to the same bytes, or are refused', () => {
      fc.assert(
        fc.property(fc.oneof(bytes(200), mutated()), (input) => {
          let data: StreamData
          try {
            data = decodeStreamData(input)
          } catch (error) {
            expect(error).to.be.instanceOf(StreamDataError)
            return
          }
          expect(encodeStreamData(data)).to.deep.equal(input)
        }),
        { numRuns: 2000 },
      )
    })

    it('a count or a length beyond the file is refused before anything of that size is allocated', () => {
      const header = '0x0000000000000000'
      expect(() => decodeStreamData(getBytes(concat([header, '0xffffffff'])))).to.throw(StreamDataError, '4294967295 reads, at most 65536')
      expect(() => decodeStreamData(getBytes(concat([header, '0x00010000'])))).to.throw(StreamDataError, '65536 reads do not fit the 0 bytes left')
      const write = concat([header, '0x00000000', '0x00000001', A, '0x000001', '0x6b', '0xffffffffffffffff'])
      expect(() => decodeStreamData(getBytes(write))).to.throw(StreamDataError, 'value at byte 60 needs 18446744073709551615 bytes, 0 are left')
    })

    it('an empty key and an unknown op are refused', () => {
      const header = '0x0000000000000000'
      expect(() => decodeStreamData(getBytes(concat([header, '0x00000001', A, '0x000000', '0x00'])))).to.throw(StreamDataError, 'empty key')
      const unknown = concat([header, '0x00000000', '0x00000000', '0x00000001', '0x13', A])
      expect(() => decodeStreamData(getBytes(unknown))).to.throw(StreamDataError, 'unknown control op 19')
    })
  })

  describe('tags', () => {
    it('name their streams once each, whatever the case', () => {
      expect(streamsOfTags(tagsOfStreams([A, B, A]))).to.deep.equal([A, B])
      expect(streamsOfTags(STREAM_TAG.toUpperCase().replace('0X', '0x') + A.slice(2) + A.slice(2))).to.deep.equal([A])
    })

    it('that are empty, of another length or of another domain name none', () => {
      for (const tags of ['0x', STREAM_TAG, A, A + B.slice(2), `${STREAM_TAG}00`, 'STREAM', `${STREAM_TAG}${'zz'.repeat(32)}`]) {
        expect(streamsOfTags(tags), tags).to.deep.equal([])
      }
    })
  })

  describe('last one wins', () => {
    it('of several writes to a key the last counts', () => {
      const writes = [
        { stream: A, key: text('k'), value: text('1') },
        { stream: B, key: text('k'), value: text('2') },
        { stream: A, key: text('k'), value: text('3') },
      ]
      expect(lastWrites(writes)).to.deep.equal([writes[2], writes[1]])
    })

    it('of several controls in one class, on one stream, key and account, the last counts', () => {
      const key = text('k')
      const controls: StreamControl[] = [
        { op: 'GRANT_WRITER_ROLE', stream: A, account: bob },
        { op: 'GRANT_WRITER_ROLE', stream: B, account: bob },
        { op: 'GRANT_SPECIAL_WRITER_ROLE', stream: A, account: bob, key },
        { op: 'SET_KEY_TO_SPECIAL', stream: A, key },
        { op: 'REVOKE_WRITER_ROLE', stream: A, account: bob },
        { op: 'SET_KEY_TO_NORMAL', stream: A, key },
      ]
      expect(lastControls(controls, alice)).to.deep.equal([controls[4], controls[1], controls[2], controls[5]])
    })

    it('a renouncement concerns the sender, and only the sender', () => {
      const controls: StreamControl[] = [
        { op: 'GRANT_WRITER_ROLE', stream: A, account: alice },
        { op: 'GRANT_WRITER_ROLE', stream: A, account: bob },
        { op: 'RENOUNCE_WRITER_ROLE', stream: A },
      ]
      expect(lastControls(controls, alice)).to.deep.equal([controls[2], controls[1]])
      expect(lastControls(controls, bob)).to.deep.equal([controls[0], controls[2]])
    })
  })
})

/** A valid file with some of its bytes changed: reaches deeper into the decoder than noise does. */
function mutated(): fc.Arbitrary<Uint8Array> {
  return fc.tuple(anyData, fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 3 })).map(([data, changes]) => {
    const encoded = encodeStreamData(data)
    for (const [at, value] of changes) encoded[at % encoded.length] = value
    return encoded
  })
}

import { expect } from 'chai'
import fc from 'fast-check'
import type { Postgres } from '../../../keepers/runtime/database.ts'
import { StreamDataBuilder } from '../../../protocol/storage/streams.ts'
import { A, alice, B, base64, bob, closeTestPostgres, openStreams, openTestPostgres, type StreamsUnderTest, text } from './streams-under-test.ts'

const INVALID_PARAMS = -32602

describe('the RPC of key-value streams', () => {
  let postgres: Postgres
  let kv: StreamsUnderTest
  before(async () => {
    postgres = await openTestPostgres()
  })
  after(() => closeTestPostgres(postgres))
  beforeEach(async () => {
    kv = await openStreams(postgres)
  })
  afterEach(() => kv.close())

  describe('kv_getValue', () => {
    const large = Uint8Array.from({ length: 700_000 }, (_, i) => (i * 2654435761) >>> 24)
    const key = base64('large')

    it('a key that was never written is version 0 and empty, not null', async () => {
      expect(await kv.rpc('kv_getValue', A, base64('none'), 0, 10)).to.deep.equal({ version: 0, data: '', size: 0 })
    })

    it('a value comes whole from its start, whatever length was asked for', async () => {
      await kv.submit(alice, new StreamDataBuilder().set(A, text('large'), large))
      const { data, size, version } = await kv.rpc('kv_getValue', A, key, 0, 262_144)
      expect([size, version]).to.deep.equal([700_000, 0])
      expect(Buffer.from(data, 'base64').equals(large)).to.equal(true)
    })

    it('from elsewhere comes what was asked for, across the parts it is stored in', async () => {
      await kv.submit(alice, new StreamDataBuilder().set(A, text('small'), text('x')).set(A, text('large'), large))
      for (const [start, length] of [
        [1, 262_144],
        [262_000, 1000],
        [524_288, 262_144],
        [699_990, 100],
        [700_000, 5],
      ] as const) {
        const { data, size } = await kv.rpc('kv_getValue', A, key, start, length)
        expect(size).to.equal(700_000)
        expect(Buffer.from(data, 'base64').equals(large.subarray(start, start + length)), `${start}+${length}`).to.equal(true)
      }
    })

    it('length 0 gives the version and the size only', async () => {
      await kv.submit(alice, new StreamDataBuilder().set(A, text('large'), large))
      expect(await kv.rpc('kv_getValue', A, key, 0, 0)).to.deep.equal({ version: 0, data: '', size: 700_000 })
    })

    it('refuses a length above 256 KiB, a start behind the end, an empty or undecodable key, and malformed ids', async () => {
      await kv.submit(alice, new StreamDataBuilder().set(A, text('k'), text('value')))
      const refusals: [unknown[], string, string | RegExp][] = [
        [[A, base64('k'), 0, 262_145], 'len', 'query length too large'],
        [[A, base64('k'), 6, 1], 'start_index', 'start index is greater than value length'],
        [[A, '', 0, 1], 'key', 'key is empty'],
        [[A, '%', 0, 1], 'key', /base64/],
        [['0x12', base64('k'), 0, 1], 'stream_id', /32 bytes in hex/],
        [[A, base64('k'), -1, 1], 'start_index', /.+/],
        [[A, base64('k'), 0.5, 1], 'start_index', /.+/],
        [[A, base64('k')], 'params', /expected 5 parameters, got 2/],
      ]
      for (const [params, field, reason] of refusals) {
        const { error } = await kv.call('kv_getValue', ...params)
        expect(error, JSON.stringify(params)).to.include({ code: INVALID_PARAMS, message: `Invalid params: ${field}` })
        expect(error.data).to.match(typeof reason === 'string' ? new RegExp(`^${reason}$`) : reason)
      }
    })
  })

  describe('walking through keys', () => {
    beforeEach(async () => {
      const builder = new StreamDataBuilder()
      for (const name of ['b', 'd', 'a', 'c']) builder.set(A, text(name), text(name.toUpperCase()))
      await kv.submit(alice, builder.set(B, text('bb'), text('elsewhere')))
      await kv.submit(alice, new StreamDataBuilder().delete(A, text('b')).delete(A, text('d')))
    })
    const answer = (name: string, version = 0) => ({ version, key: base64(name), data: base64(name.toUpperCase()), size: 1 })

    it('goes up and down in byte order, past deleted keys', async () => {
      expect(await kv.rpc('kv_getFirst', A, 0, 10)).to.deep.equal(answer('a'))
      expect(await kv.rpc('kv_getLast', A, 0, 10)).to.deep.equal(answer('c'))
      expect(await kv.rpc('kv_getNext', A, base64('a'), 0, 10, false)).to.deep.equal(answer('c'))
      expect(await kv.rpc('kv_getPrev', A, base64('c'), 0, 10, false)).to.deep.equal(answer('a'))
    })

    it('ends at null', async () => {
      expect(await kv.rpc('kv_getNext', A, base64('c'), 0, 10, false)).to.equal(null)
      expect(await kv.rpc('kv_getPrev', A, base64('a'), 0, 10, false)).to.equal(null)
      expect(await kv.rpc('kv_getFirst', `0x${'77'.repeat(32)}`, 0, 10)).to.equal(null)
    })

    it('inclusive begins with the key itself', async () => {
      expect(await kv.rpc('kv_getNext', A, base64('a'), 0, 10, true)).to.deep.equal(answer('a'))
      expect(await kv.rpc('kv_getPrev', A, base64('c'), 0, 10, true)).to.deep.equal(answer('c'))
    })

    it('inclusive on a deleted key goes on to the next one instead of looping', async () => {
      expect(await kv.rpc('kv_getNext', A, base64('b'), 0, 10, true)).to.deep.equal(answer('c'))
      expect(await kv.rpc('kv_getPrev', A, base64('d'), 0, 10, true)).to.deep.equal(answer('c'))
    })

    it('with a version walks through the stream as it was', async () => {
      expect(await kv.rpc('kv_getNext', A, base64('a'), 0, 10, false, 0)).to.deep.equal(answer('b'))
      expect(await kv.rpc('kv_getLast', A, 0, 10, 0)).to.deep.equal(answer('d'))
    })

    it('length 0 gives the key, version and size only', async () => {
      expect(await kv.rpc('kv_getFirst', A, 0, 0)).to.deep.equal({ version: 0, key: base64('a'), data: '', size: 1 })
    })

    it('visits the keys of any stream in byte order, whatever their lengths', async () => {
      await fc.assert(
        fc.asyncProperty(fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8, selector: String }), async (keys) => {
          const stream = `0x${Buffer.from(keys.map(String).join()).toString('hex').padEnd(64, '0').slice(0, 64)}`
          // Some keys get a tail beyond what the index holds.
          const whole = keys.map((key) => (key[0]! % 2 === 0 ? new Uint8Array([...new Uint8Array(1200).fill(7), ...key]) : key))
          const builder = new StreamDataBuilder()
          for (const key of whole) builder.set(stream, key, text('v'))
          await kv.submit(alice, builder)
          const visited: string[] = []
          for (let at = await kv.rpc('kv_getFirst', stream, 0, 0); at; at = await kv.rpc('kv_getNext', stream, at.key, 0, 0, false)) visited.push(at.key)
          const sorted = whole.map((key) => Buffer.from(key)).sort(Buffer.compare)
          expect(visited).to.deep.equal(sorted.map((key) => key.toString('base64')))
          const back: string[] = []
          for (let at = await kv.rpc('kv_getLast', stream, 0, 0); at; at = await kv.rpc('kv_getPrev', stream, at.key, 0, 0, false)) back.unshift(at.key)
          expect(back).to.deep.equal(visited)
        }),
        { numRuns: 15, seed: 1 },
      )
    })
  })

  describe('results and progress', () => {
    it('the result of a submission is found by number and by text, and null before it is decided', async () => {
      await kv.submit(alice, new StreamDataBuilder().set(A, text('k'), text('v')))
      expect(await kv.rpc('kv_getTransactionResult', 0)).to.equal('Commit')
      expect(await kv.rpc('kv_getTransactionResult', '0')).to.equal('Commit')
      const answer = await kv.call('kv_getTransactionResult', 1)
      expect(answer).to.have.property('result', null)
    })

    it('progress is the number below which everything is decided', async () => {
      expect(await kv.rpc('kv_getReplayProgress')).to.deep.equal({ appliedSeq: 0, firstTxSeq: 0 })
      await kv.submit(alice, new StreamDataBuilder().set(A, text('k'), text('v')))
      expect(await kv.rpc('kv_getReplayProgress')).to.deep.equal({ appliedSeq: 1, firstTxSeq: 0 })
      expect(await kv.rpc('kv_getStatus')).to.equal(true)
    })

    it('a keeper of all streams holds those that were written', async () => {
      await kv.submit(alice, new StreamDataBuilder().set(B, text('k'), text('v')).set(A, text('k'), text('v')))
      expect(await kv.rpc('kv_getHoldingStreamIds')).to.deep.equal([A, B])
    })
  })

  describe('access', () => {
    it('answers both spellings of isAdmin, whatever the case of addresses and ids', async () => {
      await kv.submit(alice, new StreamDataBuilder().set(A, text('k'), text('v')))
      for (const method of ['kv_isAdmin', 'kv_IsAdmin']) {
        expect(await kv.rpc(method, alice.toUpperCase().replace('0X', '0x'), A.toUpperCase().replace('0X', '0x'))).to.equal(true)
        expect(await kv.rpc(method, bob, A)).to.equal(false)
      }
    })

    it('kv_hasWritePermission says who may write a key, as of a version', async () => {
      expect(await kv.rpc('kv_hasWritePermission', bob, A, base64('k'))).to.equal(true)
      await kv.submit(alice, new StreamDataBuilder().set(A, text('k'), text('v')))
      expect(await kv.rpc('kv_hasWritePermission', bob, A, base64('k'))).to.equal(false)
      await kv.submit(alice, new StreamDataBuilder().control('GRANT_WRITER_ROLE', A, { account: bob }))
      expect(await kv.rpc('kv_hasWritePermission', bob, A, base64('k'))).to.equal(true)
      expect(await kv.rpc('kv_hasWritePermission', bob, A, base64('k'), 0)).to.equal(false)
    })

    it('an unknown method is refused', async () => {
      expect((await kv.call('kv_nothing')).error).to.include({ code: -32601 })
    })
  })
})

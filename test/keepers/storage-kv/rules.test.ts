import { expect } from 'chai'
import type { Postgres } from '../../../keepers/runtime/database.ts'
import { StreamDataBuilder, tagsOfStreams } from '../../../protocol/storage/streams.ts'
import { A, alice, B, bob, carol, closeTestPostgres, openStreams, openTestPostgres, type StreamsUnderTest, text } from './streams-under-test.ts'

const key = text('k')
const write = (value: string, stream = A, name = 'k'): StreamDataBuilder => new StreamDataBuilder().set(stream, text(name), text(value))

let postgres: Postgres
before(async () => {
  postgres = await openTestPostgres()
})
after(() => closeTestPostgres(postgres))

describe('replay of key-value streams', () => {
  let kv: StreamsUnderTest
  beforeEach(async () => {
    kv = await openStreams(postgres)
  })
  afterEach(() => kv.close())

  describe('values', () => {
    it('the last write counts, and every version stays readable', async () => {
      expect(await kv.submit(alice, write('one'))).to.equal('Commit')
      expect(await kv.submit(alice, write('two'))).to.equal('Commit')
      expect(await kv.value(A, 'k')).to.equal('two')
      expect(await kv.value(A, 'k', 0)).to.equal('one')
      expect(await kv.rpc('kv_getValue', A, 'aw==', 0, 100, 0)).to.deep.equal({ version: 0, data: 'b25l', size: 3 })
    })

    it('of several writes of a key in one submission the last counts', async () => {
      const builder = new StreamDataBuilder().set(A, key, text('first')).set(B, key, text('other')).set(A, key, text('last'))
      expect(await kv.submit(alice, builder)).to.equal('Commit')
      expect(await kv.value(A, 'k')).to.equal('last')
      expect(await kv.value(B, 'k')).to.equal('other')
    })

    it('an empty value deletes the key', async () => {
      await kv.submit(alice, write('one'))
      expect(await kv.submit(alice, write(''))).to.equal('Commit')
      expect(await kv.rpc('kv_getValue', A, 'aw==', 0, 100)).to.deep.equal({ version: 1, data: '', size: 0 })
      expect(await kv.rpc('kv_getFirst', A, 0, 100)).to.equal(null)
      expect(await kv.value(A, 'k', 0)).to.equal('one')
    })

    it('keys far longer than an index entry, alike for the first kilobytes, are told apart', async () => {
      const long = (end: string): string => 'x'.repeat(5000) + end
      await kv.submit(alice, new StreamDataBuilder().set(A, text(long('a')), text('1')).set(A, text(long('b')), text('2')))
      expect(await kv.value(A, long('a'))).to.equal('1')
      expect(await kv.value(A, long('b'))).to.equal('2')
      expect(await kv.value(A, long('c'))).to.equal('')
    })
  })

  describe('results', () => {
    it('a file that is no stream data is a DataParseError with the reason', async () => {
      const tags = tagsOfStreams([A])
      expect(await kv.submit(alice, { data: text('not a stream'), tags })).to.match(/^DataParseError: .+/)
      const { data } = write('one').build()
      expect(await kv.submit(alice, { data: new Uint8Array([...data, 0]), tags })).to.equal('DataParseError: 1 bytes follow the controls, none are expected')
      expect(await kv.rpc('kv_isAdmin', alice, A)).to.equal(false)
    })

    it('a write to a stream that is not in the tags is a TagsMismatch', async () => {
      const { data } = write('one', B).build()
      expect(await kv.submit(alice, { data, tags: tagsOfStreams([A]) })).to.equal('TagsMismatch')
      expect(await kv.value(B, 'k')).to.equal('')
    })

    it('a control of a stream that is not in the tags is a TagsMismatch', async () => {
      const { data } = new StreamDataBuilder().control('GRANT_ADMIN_ROLE', B, { account: bob }).build()
      expect(await kv.submit(alice, { data, tags: tagsOfStreams([A]) })).to.equal('TagsMismatch')
    })

    it('a submission that is not of streams has none, and is passed', async () => {
      expect(await kv.submit(alice, { data: text('file'), tags: '0x' })).to.equal(null)
      expect(await kv.submit(alice, write('one'))).to.equal('Commit')
      expect(await kv.rpc('kv_getReplayProgress')).to.deep.equal({ appliedSeq: 2, firstTxSeq: 0 })
    })

    it('a rejected submission changes nothing', async () => {
      await kv.submit(alice, write('one'))
      const mixed = new StreamDataBuilder(0n).set(A, text('new'), text('x')).set(A, key, text('y')).control('GRANT_ADMIN_ROLE', A, { account: bob })
      await kv.submit(alice, write('two'))
      expect(await kv.submit(alice, mixed)).to.equal('VersionConfliction')
      expect(await kv.value(A, 'new')).to.equal('')
      expect(await kv.value(A, 'k')).to.equal('two')
      expect(await kv.rpc('kv_isAdmin', bob, A)).to.equal(false)
    })
  })

  describe('versions', () => {
    beforeEach(async () => {
      await kv.submit(alice, write('zero'))
      await kv.submit(alice, write('one'))
    })

    it('a write over a key that a later submission wrote conflicts', async () => {
      expect(await kv.submit(alice, new StreamDataBuilder(0n).set(A, key, text('late')))).to.equal('VersionConfliction')
      expect(await kv.submit(alice, new StreamDataBuilder(1n).set(A, key, text('in time')))).to.equal('Commit')
    })

    it('a read of a key that a later submission wrote conflicts, in a stream outside the tags too', async () => {
      expect(await kv.submit(alice, new StreamDataBuilder(0n).read(A, key).set(B, key, text('x')))).to.equal('VersionConfliction')
      expect(await kv.submit(alice, new StreamDataBuilder(1n).read(A, key).set(B, key, text('x')))).to.equal('Commit')
    })

    it('other keys do not conflict, deletions do', async () => {
      expect(await kv.submit(alice, new StreamDataBuilder(0n).set(A, text('other'), text('x')))).to.equal('Commit')
      await kv.submit(alice, write(''))
      expect(await kv.submit(alice, new StreamDataBuilder(1n).set(A, key, text('x')))).to.equal('VersionConfliction')
    })

    it('a submission that conflicted does not count as a write', async () => {
      await kv.submit(alice, new StreamDataBuilder(0n).set(A, key, text('late')))
      expect(await kv.submit(alice, new StreamDataBuilder(1n).set(A, key, text('x')))).to.equal('Commit')
    })
  })

  describe('permissions', () => {
    it('whoever writes to a new stream first is its admin', async () => {
      expect(await kv.submit(alice, write('one'))).to.equal('Commit')
      expect(await kv.rpc('kv_isAdmin', alice, A)).to.equal(true)
      expect(await kv.submit(bob, write('two'))).to.equal('SenderNoWritePermission')
      expect(await kv.value(A, 'k')).to.equal('one')
    })

    it('tagging a new stream without writing to it makes its admin too', async () => {
      const { data } = write('one').build()
      await kv.submit(alice, { data, tags: tagsOfStreams([A, B]) })
      expect(await kv.rpc('kv_isAdmin', alice, B)).to.equal(true)
    })

    it('a writer writes any normal key, and no special one', async () => {
      await kv.submit(
        alice,
        write('one')
          .control('GRANT_WRITER_ROLE', A, { account: bob })
          .control('SET_KEY_TO_SPECIAL', A, { key: text('s') }),
      )
      expect(await kv.submit(bob, write('two'))).to.equal('Commit')
      expect(await kv.submit(bob, write('three', A, 's'))).to.equal(`WritePermissionDenied: stream: ${A}, key: s`)
      expect(await kv.submit(alice, write('by the admin', A, 's'))).to.equal('Commit')
    })

    it('a special writer writes that key, while it is special, and no other', async () => {
      const grant = { key: text('s'), account: bob }
      await kv.submit(
        alice,
        write('one')
          .control('SET_KEY_TO_SPECIAL', A, { key: text('s') })
          .control('GRANT_SPECIAL_WRITER_ROLE', A, grant),
      )
      expect(await kv.submit(bob, write('two', A, 's'))).to.equal('Commit')
      expect(await kv.submit(bob, write('three'))).to.equal(`WritePermissionDenied: stream: ${A}, key: k`)
      await kv.submit(alice, new StreamDataBuilder().control('SET_KEY_TO_NORMAL', A, { key: text('s') }))
      expect(await kv.submit(bob, write('four', A, 's'))).to.equal(`WritePermissionDenied: stream: ${A}, key: s`)
    })

    it('one stream that the sender can write is enough to be heard, every write needs its own permission', async () => {
      await kv.submit(alice, write('one', A))
      await kv.submit(bob, write('one', B))
      expect(await kv.submit(bob, new StreamDataBuilder().set(A, key, text('x')).set(B, key, text('x')))).to.equal(
        `WritePermissionDenied: stream: ${A}, key: k`,
      )
      expect(await kv.value(B, 'k')).to.equal('one')
    })

    it('a revoked or renounced role is gone', async () => {
      const both = write('one').control('GRANT_WRITER_ROLE', A, { account: bob }).control('GRANT_WRITER_ROLE', A, { account: carol })
      await kv.submit(alice, both)
      await kv.submit(alice, new StreamDataBuilder().control('REVOKE_WRITER_ROLE', A, { account: bob }))
      await kv.submit(carol, new StreamDataBuilder().control('RENOUNCE_WRITER_ROLE', A))
      expect(await kv.submit(bob, write('x'))).to.equal('SenderNoWritePermission')
      expect(await kv.submit(carol, write('x'))).to.equal('SenderNoWritePermission')
      expect(await kv.rpc('kv_isWriterOfStream', bob, A, 0)).to.equal(true)
      expect(await kv.rpc('kv_isWriterOfStream', bob, A, 1)).to.equal(false)
    })

    it('a revoked or renounced special writer cannot write the key', async () => {
      const special = { key: text('s') }
      const founding = write('one').control('SET_KEY_TO_SPECIAL', A, special)
      for (const account of [bob, carol]) founding.control('GRANT_SPECIAL_WRITER_ROLE', A, { ...special, account })
      await kv.submit(alice, founding)
      await kv.submit(alice, new StreamDataBuilder().control('REVOKE_SPECIAL_WRITER_ROLE', A, { ...special, account: bob }))
      await kv.submit(carol, new StreamDataBuilder().control('RENOUNCE_SPECIAL_WRITER_ROLE', A, special))
      for (const who of [bob, carol]) expect(await kv.rpc('kv_isWriterOfKey', who, A, 'cw==')).to.equal(false)
      expect(await kv.submit(bob, write('x', A, 's'))).to.equal('SenderNoWritePermission')
    })

    it('an admin who renounces is none any more; another admin goes on', async () => {
      await kv.submit(alice, write('one').control('GRANT_ADMIN_ROLE', A, { account: bob }))
      expect(await kv.submit(alice, new StreamDataBuilder().control('RENOUNCE_ADMIN_ROLE', A))).to.equal('Commit')
      expect(await kv.submit(alice, write('two'))).to.equal('SenderNoWritePermission')
      expect(await kv.submit(bob, write('three'))).to.equal('Commit')
    })

    it('a founder who renounces in the founding submission leaves a stream that nobody can write', async () => {
      expect(await kv.submit(alice, write('for ever').control('RENOUNCE_ADMIN_ROLE', A))).to.equal('Commit')
      for (const who of [alice, bob]) expect(await kv.submit(who, write('x'))).to.equal('SenderNoWritePermission')
      expect(await kv.value(A, 'k')).to.equal('for ever')
    })

    it('permissions are those before the submission: a grant to oneself comes too late', async () => {
      await kv.submit(alice, write('one').control('GRANT_WRITER_ROLE', A, { account: bob }))
      const greedy = write('x', A, 's').control('GRANT_ADMIN_ROLE', A, { account: bob })
      expect(await kv.submit(bob, greedy)).to.equal(`AccessControlPermissionDenied: operation: GRANT_ADMIN_ROLE, stream: ${A}, key: NONE, account: ${bob}`)
    })
  })

  describe('controls', () => {
    beforeEach(async () => {
      const special = { key: text('s') }
      const founding = write('one').control('GRANT_WRITER_ROLE', A, { account: bob }).control('SET_KEY_TO_SPECIAL', A, special)
      await kv.submit(alice, founding.control('GRANT_SPECIAL_WRITER_ROLE', A, { ...special, account: carol }))
    })

    it('a writer may make writers, and nothing else', async () => {
      expect(await kv.submit(bob, new StreamDataBuilder().control('GRANT_WRITER_ROLE', A, { account: carol }))).to.equal('Commit')
      for (const builder of [
        new StreamDataBuilder().control('REVOKE_WRITER_ROLE', A, { account: alice }),
        new StreamDataBuilder().control('SET_KEY_TO_SPECIAL', A, { key }),
        new StreamDataBuilder().control('SET_KEY_TO_NORMAL', A, { key: text('s') }),
        new StreamDataBuilder().control('GRANT_SPECIAL_WRITER_ROLE', A, { key: text('s'), account: bob }),
        new StreamDataBuilder().control('REVOKE_SPECIAL_WRITER_ROLE', A, { key: text('s'), account: carol }),
      ]) {
        expect(await kv.submit(bob, builder)).to.match(/^AccessControlPermissionDenied: operation: (REVOKE|SET|GRANT)_\w+, stream: 0x0a/)
      }
    })

    it('a special writer may make special writers of that key, and nothing else', async () => {
      const grant = (name: string) => new StreamDataBuilder().control('GRANT_SPECIAL_WRITER_ROLE', A, { key: text(name), account: bob })
      expect(await kv.submit(carol, grant('s'))).to.equal('Commit')
      expect(await kv.submit(carol, grant('t'))).to.equal(
        `AccessControlPermissionDenied: operation: GRANT_SPECIAL_WRITER_ROLE, stream: ${A}, key: t, account: ${bob}`,
      )
      expect(await kv.submit(carol, new StreamDataBuilder().control('GRANT_WRITER_ROLE', A, { account: carol }))).to.match(/^AccessControlPermissionDenied/)
    })

    it('of several operations on one role, stream, key and account only the last counts, for its permission too', async () => {
      const builder = new StreamDataBuilder().control('GRANT_WRITER_ROLE', A, { account: carol }).control('REVOKE_WRITER_ROLE', A, { account: carol })
      expect(await kv.submit(alice, builder)).to.equal('Commit')
      expect(await kv.rpc('kv_isWriterOfStream', carol, A)).to.equal(false)
      const undone = new StreamDataBuilder().control('REVOKE_WRITER_ROLE', A, { account: carol }).control('GRANT_WRITER_ROLE', A, { account: carol })
      expect(await kv.submit(bob, undone)).to.equal('Commit')
      expect(await kv.rpc('kv_isWriterOfStream', carol, A)).to.equal(true)
    })

    it('a key is special or normal as the last operation said, per key', async () => {
      const builder = new StreamDataBuilder().control('SET_KEY_TO_NORMAL', A, { key: text('s') }).control('SET_KEY_TO_SPECIAL', A, { key })
      expect(await kv.submit(alice, builder)).to.equal('Commit')
      expect(await kv.rpc('kv_isSpecialKey', A, 'cw==')).to.equal(false)
      expect(await kv.rpc('kv_isSpecialKey', A, 'aw==')).to.equal(true)
      expect(await kv.rpc('kv_isSpecialKey', A, 'cw==', 0)).to.equal(true)
    })
  })
})

describe('watched streams', () => {
  it('a submission is replayed only if all its streams are watched; otherwise it has no result', async () => {
    const kv = await openStreams(postgres, [A])
    try {
      expect(await kv.submit(alice, write('b', B))).to.equal(null)
      expect(await kv.submit(alice, new StreamDataBuilder().set(A, key, text('both')).set(B, key, text('both')))).to.equal(null)
      expect(await kv.submit(alice, write('a'))).to.equal('Commit')
      expect(await kv.submit(alice, new StreamDataBuilder().read(B, key).set(A, key, text('x')))).to.equal('TagsMismatch')
      expect(await kv.value(A, 'k')).to.equal('a')
      expect(await kv.rpc('kv_getHoldingStreamIds')).to.deep.equal([A])
    } finally {
      await kv.close()
    }
  })
})

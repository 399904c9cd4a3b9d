import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import fc from 'fast-check'
import type { Postgres } from '../../../keepers/runtime/database.ts'
import { rewind, rollback, watch } from '../../../keepers/storage/kv/log.ts'
import { CONTROL_OPS, type ControlOp, StreamDataBuilder } from '../../../protocol/storage/streams.ts'
import { A, alice, B, bob, carol, closeTestPostgres, openStreams, openTestPostgres, type StreamsUnderTest, type Submitted, text } from './streams-under-test.ts'

const write = (value: string, stream = A): StreamDataBuilder => new StreamDataBuilder().set(stream, text('k'), text(value))

/** Everything replay has come to: results, writes and controls by submission. */
async function stateOf({ db }: StreamsUnderTest): Promise<unknown> {
  return {
    submissions: await db.selectFrom('kv_submission').select(['seq', 'decided', 'result', 'depends']).orderBy('seq').execute(),
    writes: await db.selectFrom('kv_write').select(['seq', 'item', 'stream', 'key', 'start', 'length']).orderBy('seq').orderBy('item').execute(),
    controls: await db.selectFrom('kv_control').selectAll().orderBy('seq').orderBy('item').execute(),
  }
}

interface Planned {
  sender: string
  submission: Submitted
}

const planned: fc.Arbitrary<Planned> = fc
  .record({
    sender: fc.constantFrom(alice, bob, carol),
    version: fc.option(fc.bigInt({ min: 0n, max: 12n }), { nil: undefined }),
    writes: fc.array(fc.tuple(fc.constantFrom(A, B), fc.constantFrom('k', 's'), fc.string({ maxLength: 3 })), { minLength: 1, maxLength: 2 }),
    reads: fc.array(fc.tuple(fc.constantFrom(A, B), fc.constantFrom('k', 's')), { maxLength: 1 }),
    controls: fc.array(fc.tuple(fc.constantFrom(...(Object.keys(CONTROL_OPS) as ControlOp[])), fc.constantFrom(A, B), fc.constantFrom(bob, carol)), {
      maxLength: 2,
    }),
    salt: fc.nat(),
  })
  .map(({ sender, version, writes, reads, controls, salt }) => {
    const builder = new StreamDataBuilder(version)
    for (const [stream, key, value] of writes) builder.set(stream, text(key), text(value))
    for (const [stream, key] of reads) builder.read(stream, text(key))
    for (const [op, stream, account] of controls) {
      const { key: hasKey, account: hasAccount } = CONTROL_OPS[op]
      builder.control(op, stream, { ...(hasKey ? { key: text('s') } : {}), ...(hasAccount ? { account } : {}) })
    }
    // Distinct files, so that the data of each can arrive by themselves.
    return { sender, submission: builder.set(writes[0]![0], text('salt'), text(String(salt))).build() }
  })
const log = fc.uniqueArray(planned, { minLength: 4, maxLength: 12, selector: ({ submission }) => Buffer.from(submission.data).toString('hex') })

describe('the order of replay', () => {
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

  const decided = async (seq: number): Promise<void> => {
    while (!(await kv.db.selectFrom('kv_submission').select('decided').where('seq', '=', seq).executeTakeFirstOrThrow()).decided) await sleep(2)
  }

  describe('while data are missing', () => {
    it('a submission holds up its own streams, and no others', async () => {
      const late = write('zero').build()
      await kv.append(alice, late, { missing: true })
      const second = await kv.append(alice, write('one').build())
      const elsewhere = await kv.append(alice, write('two', B).build())
      await decided(elsewhere)
      expect(await kv.rpc('kv_getTransactionResult', second)).to.equal(null)
      expect(await kv.rpc('kv_getReplayProgress')).to.deep.equal({ appliedSeq: 0, firstTxSeq: 0 })

      await kv.arrive(late)
      expect(await kv.resultOf(second)).to.equal('Commit')
      expect(await kv.value(A, 'k')).to.equal('one')
      expect(await kv.value(A, 'k', 0)).to.equal('zero')
    })

    it('a submission that reads a held up stream waits, and so do those after it on its own', async () => {
      const late = write('zero').build()
      await kv.append(alice, late, { missing: true })
      const reader = await kv.append(alice, new StreamDataBuilder(-1n + 1n).read(A, text('k')).set(B, text('k'), text('one')).build())
      const behind = await kv.append(alice, write('two', B).build())
      const elsewhere = await kv.append(alice, write('three', `0x${'0c'.repeat(32)}`).build())
      await decided(elsewhere)
      for (const seq of [reader, behind]) expect(await kv.rpc('kv_getTransactionResult', seq)).to.equal(null)
      await kv.arrive(late)
      expect(await kv.resultOf(behind)).to.equal('Commit')
    })

    it('an account that cannot write is answered without its data', async () => {
      await kv.submit(alice, write('one'))
      const seq = await kv.append(bob, write('two').build(), { missing: true })
      expect(await kv.resultOf(seq)).to.equal('SenderNoWritePermission')
    })

    it('in whatever order data arrive, the outcome is that of the log', async () => {
      await fc.assert(
        fc.asyncProperty(
          log.chain((plan) => fc.tuple(fc.constant(plan), fc.shuffledSubarray([...plan.keys()], { minLength: plan.length }))),
          async ([plan, arrival]) => {
            const inOrder = await openStreams(postgres)
            const shuffled = await openStreams(postgres)
            try {
              for (const { sender, submission } of plan) {
                await inOrder.append(sender, submission)
                await shuffled.append(sender, submission, { missing: true })
              }
              for (const at of arrival) await shuffled.arrive(plan[at]!.submission)
              await inOrder.resultOf(plan.length - 1)
              await shuffled.resultOf(plan.length - 1)
              expect(await stateOf(shuffled)).to.deep.equal(await stateOf(inOrder))
            } finally {
              await inOrder.close()
              await shuffled.close()
            }
          },
        ),
        { numRuns: 8, seed: 1 },
      )
    })
  })

  describe('going back', () => {
    it('to any submission and forth again comes to the same state', async () => {
      await fc.assert(
        fc.asyncProperty(log, fc.nat(11), async (plan, at) => {
          const kv = await openStreams(postgres)
          try {
            for (const { sender, submission } of plan) await kv.append(sender, submission)
            await kv.resultOf(plan.length - 1)
            const before = await stateOf(kv)
            await kv.db.transaction().execute((trx) => rewind(trx, at % plan.length))
            kv.replay.wake()
            await kv.resultOf(plan.length - 1)
            expect(await stateOf(kv)).to.deep.equal(before)
          } finally {
            await kv.close()
          }
        }),
        { numRuns: 8, seed: 2 },
      )
    })

    it('takes back what depends on the submission, and nothing else', async () => {
      await kv.submit(alice, write('zero'))
      await kv.submit(alice, write('one', B))
      await kv.submit(alice, new StreamDataBuilder().read(A, text('k')).set(B, text('k'), text('two')))
      await kv.submit(alice, write('three', B))
      await kv.submit(alice, write('four', `0x${'0c'.repeat(32)}`))
      await kv.replay.stop()
      const taken = await kv.db.transaction().execute((trx) => rewind(trx, 0))
      expect(taken).to.equal(3) // 0 itself, 2 that read from it, 3 that wrote after 2
      const open = await kv.db.selectFrom('kv_submission').select('seq').where('decided', '=', false).orderBy('seq').execute()
      expect(open.map(({ seq }) => seq)).to.deep.equal([0, 2, 3])
      expect(await kv.value(B, 'k')).to.equal('one')
    })

    it('a reorganisation undoes the submissions of the blocks it removed, and those only', async () => {
      await kv.submit(alice, write('zero'))
      const before = await stateOf(kv)
      await kv.submit(alice, write('one').control('GRANT_WRITER_ROLE', A, { account: bob }))
      await kv.submit(alice, write('two', B))
      await kv.db.transaction().execute((trx) => rollback(trx, 0))
      expect(await stateOf(kv)).to.deep.equal(before)
      expect(await kv.value(A, 'k')).to.equal('zero')
      expect(await kv.rpc('kv_isWriterOfStream', bob, A)).to.equal(false)
      expect(await kv.rpc('kv_getReplayProgress')).to.deep.equal({ appliedSeq: 1, firstTxSeq: 0 })
    })

    it('rolling everything back leaves nothing', async () => {
      await kv.submit(alice, write('zero'))
      await kv.db.transaction().execute((trx) => rollback(trx, -1))
      expect(await stateOf(kv)).to.deep.equal({ submissions: [], writes: [], controls: [] })
      expect(await kv.rpc('kv_getReplayProgress')).to.deep.equal({ appliedSeq: 0, firstTxSeq: 0 })
    })
  })

  it('when the watched streams change, everything is decided again, from the data that are there', async () => {
    await kv.submit(alice, write('zero'))
    expect(await kv.db.transaction().execute((trx) => watch(trx, 'all'))).to.equal(false)
    expect(await kv.value(A, 'k')).to.equal('zero')
    expect(await kv.db.transaction().execute((trx) => watch(trx, [A]))).to.equal(true)
    expect(await kv.value(A, 'k')).to.equal('')
    kv.replay.wake()
    expect(await kv.resultOf(0)).to.equal('Commit')
    expect(await kv.value(A, 'k')).to.equal('zero')
  })
})

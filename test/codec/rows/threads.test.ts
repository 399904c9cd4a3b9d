import { expect } from 'chai'
import { Arena } from '../../../codec/rows/arena.ts'
import { createRowCodec, type RowShape } from '../../../codec/rows/index.ts'
import { compile, initialize, type Shared } from '../../../codec/rows/kernels.ts'
import { WorkerThreads } from '../../../codec/rows/threads.ts'
import { Workspace } from '../../../codec/rows/workspace.ts'
import { noise } from './naive.ts'

const MIB = 1024 * 1024
const failure = (run: Promise<unknown>): Promise<Error> =>
  run.then(
    () => expect.fail('it was done'),
    (reason) => reason,
  )
const memoryOf = (pages: number) => new WebAssembly.Memory<SharedArrayBuffer>({ initial: pages, maximum: 1024, shared: true })

describe('codec: rows in threads', () => {
  it('come to the same as in this thread, split or not, many jobs at a time', async () => {
    const [alone, threaded] = [createRowCodec({ threads: 0 }), createRowCodec({ threads: 3 })]
    const shapes: RowShape[] = [
      { k: 64, t: 256, rowSize: 64 },
      { k: 256, t: 1024, rowSize: 64 },
      // More than a MiB of rows: split over the threads. The third does not divide by them.
      { k: 64, t: 256, rowSize: 8192 },
      { k: 512, t: 2048, rowSize: 704 },
    ]
    const indices = Uint32Array.from({ length: 37 }, (_, i) => 255 - 5 * i)
    await Promise.all(
      [...shapes, ...shapes].map(async (shape, i) => {
        const data = noise(shape.k * shape.rowSize - i, i)
        const [a, b] = await Promise.all([alone.encode(data, shape), threaded.encode(data, shape)])
        expect([b.rowRoot, b.rlcRoot, b.rlc]).to.deep.equal([a.rowRoot, a.rlcRoot, a.rlc])
        const every = Uint32Array.from({ length: shape.t }, (_, row) => row)
        const rows = b.rows(every)
        expect(Buffer.compare(rows, a.rows(every))).to.equal(0)
        expect(await threaded.verify(b, every, rows, b.paths(every))).to.deep.equal(new Uint8Array(shape.t).fill(1))
        rows[200 * shape.rowSize]! ^= 1
        const verdicts = await threaded.verify(b, indices, b.rows(indices), b.paths(indices))
        expect(verdicts).to.deep.equal(new Uint8Array(37).fill(1))
        expect([...(await threaded.verify(b, every, rows, b.paths(every))).entries()].filter(([, valid]) => !valid)).to.deep.equal([[200, 0]])
        a.release()
        b.release()
      }),
    )
    await Promise.all([alone.close(), threaded.close()])
  })

  it('wait for memory until others have released theirs', async () => {
    const codec = createRowCodec({ threads: 1 })
    // Somewhat more than 128 MiB each, of which two fit.
    const large: RowShape = { k: 512, t: 2048, rowSize: 65_536 }
    const [first, second] = await Promise.all([codec.encode(noise(100), large), codec.encode(noise(101), large)])
    let done = false
    const third = codec.encode(noise(102), large).then((rows) => {
      done = true
      return rows
    })
    const small = codec.encode(noise(9), { k: 4, t: 16, rowSize: 64 })
    expect(first.row(0)).to.not.deep.equal(second.row(0))
    expect(done).to.equal(false)
    first.release()
    ;(await third).release()
    ;(await small).release()
    second.release()
    await codec.close()
  })

  it('refuse work once closed, and give up what they are at', async () => {
    const codec = createRowCodec({ threads: 1 })
    const shape: RowShape = { k: 64, t: 256, rowSize: 64 }
    await codec.encode(noise(9), shape)
    const jobs = [
      codec.encode(noise(9), shape),
      codec.recover(
        shape,
        Uint32Array.from({ length: 64 }, (_, i) => 64 + i),
        noise(4096),
      ),
    ].map(failure)
    await codec.close()
    for (const error of await Promise.all(jobs)) expect(error.message).to.equal('The row codec is closed.')
    expect((await failure(codec.encode(noise(9), shape))).message).to.equal('The row codec is closed.')
  })

  it('are a number of them', () => {
    for (const threads of [-1, 1.5, 1000, Number.NaN]) expect(() => createRowCodec({ threads }), `${threads}`).to.throw(RangeError, 'Expected 0 to')
  })
})

describe('codec: threads', () => {
  const shared = (): Shared & { scratch: number } => {
    const memory = memoryOf(64)
    const module = compile('simd')
    return { module, memory, scratch: initialize({ module, memory }) }
  }

  it('fail what a call fails, and go on', async () => {
    const { scratch, ...own } = shared()
    const threads = new WorkerThreads(own, scratch, 1)
    const beyond = 1024 * 65_536
    const outcomes = await Promise.allSettled([
      threads.run([[['toRows', scratch, 1, beyond]]]),
      threads.run([[['toRows', scratch, 1, 3 * MIB]], [['toRows', scratch, 1, beyond]]]),
      threads.run([[['toRows', scratch, 1, 3 * MIB]]]),
    ])
    expect(outcomes.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected', 'fulfilled'])
    expect((outcomes[0] as PromiseRejectedResult).reason.message).to.contain('out of bounds')
    await threads.close()
  })

  it('that cannot start fail their part, each time anew', async () => {
    const { scratch, module } = shared()
    const threads = new WorkerThreads({ module, memory: memoryOf(1) }, scratch, 1)
    for (let i = 0; i < 2; i++) expect((await failure(threads.run([[['toRows', 0, 1, 0]]]))).message).to.contain('memory')
    await threads.close()
  })
})

describe('codec: workspace', () => {
  it('has the memory of a job back once that is done, failed or released', async () => {
    const workspace = new Workspace(0, 'simd')
    const most = 300 * MIB
    await workspace.within(most, async () => {})
    expect((await failure(workspace.within(most, () => Promise.reject(new Error('broken'))))).message).to.equal('broken')
    expect((await failure(workspace.hold(most, () => Promise.reject(new Error('broken'))))).message).to.equal('broken')
    const release = await workspace.hold(most, async (_address, release) => release)
    const next = workspace.within(most, async () => 'ran')
    release()
    expect(await next).to.equal('ran')
  })
})

describe('codec: arena', () => {
  it('gives out regions that do not overlap, the lowest that fits', async () => {
    const arena = new Arena(memoryOf(1), 1000, 3 * MIB)
    const [a, b, c] = [await arena.take(100), await arena.take(MIB), await arena.take(64)]
    expect([a, b, c].map(({ address }) => address)).to.deep.equal([1000, 1128, 1128 + MIB])
    arena.give(b)
    expect((await arena.take(MIB / 2)).address).to.equal(1128)
    expect((await arena.take(MIB)).address).to.equal(1128 + MIB + 64)
  })

  it('takes a region back once', async () => {
    const arena = new Arena(memoryOf(1), 0, MIB)
    const [first, second] = [await arena.take(64), await arena.take(64)]
    arena.give(first)
    arena.give(first)
    expect([(await arena.take(64)).address, (await arena.take(64)).address]).to.deep.equal([first.address, second.address + 64])
  })

  it('has its memory grow as far as regions reach', async () => {
    const memory = memoryOf(1)
    const arena = new Arena(memory, 0, 64 * MIB)
    await arena.take(5 * MIB)
    expect(memory.buffer.byteLength).to.equal(5 * MIB)
    await arena.take(1)
    expect(memory.buffer.byteLength).to.equal(5 * MIB + 65_536)
  })

  it('serves who waits in the order they came', async () => {
    const arena = new Arena(memoryOf(1), 0, 2 * MIB)
    const first = await arena.take(MIB)
    const order: string[] = []
    const large = arena.take(2 * MIB).then((region) => {
      order.push('large')
      arena.give(region)
    })
    const small = arena.take(64).then(() => order.push('small'))
    arena.give(first)
    await Promise.all([large, small])
    expect(order).to.deep.equal(['large', 'small'])
  })

  it('refuses what never fits, and everyone once closed', async () => {
    const arena = new Arena(memoryOf(1), 0, MIB)
    expect(await failure(arena.take(MIB + 1))).to.be.instanceOf(RangeError)
    await arena.take(MIB)
    const waiting = failure(arena.take(1))
    arena.close()
    expect((await waiting).message).to.contain('closed')
    expect((await failure(arena.take(1))).message).to.contain('closed')
  })
})

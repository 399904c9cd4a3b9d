import { status } from '@grpc/grpc-js'
import { expect } from 'chai'
import { Admission } from '../../../keepers/da/disperser/admission.ts'
import { chooseBatch, sealingTime } from '../../../keepers/da/disperser/batching.ts'
import { gather, Refused } from '../../../keepers/da/disperser/gather.ts'
import { cheaperScheme } from '../../../keepers/da/disperser/scheme.ts'
import type { GrpcError } from '../../../keepers/runtime/grpc-error.ts'

const KIB = 1024

describe('batches of the disperser', () => {
  const four = { totalWeight: 400n, members: [{ weight: 100n }, { weight: 100n }, { weight: 100n }, { weight: 100n }] }
  const blob = (blobId: string, members: number[], epoch = 1) => ({ epoch, blobId, answers: new Map(members.map((member) => [member, undefined])) })
  const choose = (ready: ReturnType<typeof blob>[], most = 10) => {
    const { blobs, members } = chooseBatch(ready, four, most)
    return { blobs: blobs.map(({ blobId }) => blobId), members: [...members] }
  }

  it('given blobs that all signers stored, when a batch is chosen, then it takes them in order, up to the most', () => {
    const ready = ['a', 'b', 'c'].map((id) => blob(id, [0, 1, 2, 3]))
    expect(choose(ready)).to.deep.equal({ blobs: ['a', 'b', 'c'], members: [0, 1, 2, 3] })
    expect(choose(ready, 2).blobs).to.deep.equal(['a', 'b'])
  })

  it('given blobs that different signers missed, when a batch is chosen, then two thirds hold every blob of it, and the rest waits', () => {
    const ready = [blob('a', [0, 1, 2]), blob('b', [0, 1, 3]), blob('c', [0, 1, 2, 3]), blob('d', [0, 1, 2])]
    expect(choose(ready)).to.deep.equal({ blobs: ['a', 'c', 'd'], members: [0, 1, 2] })
  })

  it('given weights of which two thirds are exactly enough, when a signer is missing, then it still counts', () => {
    const three = { totalWeight: 3n, members: [{ weight: 1n }, { weight: 1n }, { weight: 1n }] }
    const { blobs } = chooseBatch([blob('a', [0, 1, 2]), blob('b', [0, 1]), blob('c', [0])], three, 10)
    expect(blobs.map(({ blobId }) => blobId)).to.deep.equal(['a', 'b'])
  })

  it('given blobs of two epochs, or one twice, when a batch is chosen, then it is of the oldest epoch and has each once', () => {
    const all = [0, 1, 2, 3]
    expect(choose([blob('a', all, 1), blob('b', all, 2), blob('a', all, 1), blob('c', all, 1)]).blobs).to.deep.equal(['a', 'c'])
  })

  it('given a blob alone, when nothing is under way, then it waits for company, and when a batch is, for that, a second at most', () => {
    const [rules, queue] = [
      { batchMs: 250, batchBlobs: 3 },
      { ready: 1, oldestAt: 10_000, underway: 0, sealedAt: 9_900 },
    ]
    expect(sealingTime(queue, rules)).to.equal(10_250)
    expect(sealingTime({ ...queue, underway: 1 }, rules)).to.equal(10_900)
    expect(sealingTime({ ...queue, underway: 1, sealedAt: 9_000 }, rules)).to.equal(10_250)
    expect(sealingTime({ ...queue, underway: 1, ready: 3 }, rules), 'a full batch').to.be.at.most(10_000)
  })

  it('given few signers and many, when the scheme is chosen, then lists are for few', () => {
    expect(cheaperScheme(4, 0)).to.equal('signatures')
    expect(cheaperScheme(25, 0)).to.equal('signatures')
    expect(cheaperScheme(26, 0)).to.equal('aggregate')
    expect(cheaperScheme(27, 13)).to.equal('signatures')
    expect(cheaperScheme(67, 33)).to.equal('aggregate')
  })
})

describe('asking signers', () => {
  const members = [0, 1, 2, 3].map((index) => ({ index, account: `0x${index}`, weight: 1n }))
  const { signal } = new AbortController()
  const never = (aborted: AbortSignal) => new Promise<number>((_, reject) => aborted.addEventListener('abort', () => reject(aborted.reason)))
  const ask = (answer: (index: number, signal: AbortSignal) => Promise<number>, options: { graceMs?: number; timeoutMs?: number; lagging?: number[] } = {}) =>
    gather({
      members,
      totalWeight: 4n,
      ask: ({ index }, signal) => answer(index, signal),
      isLagging: ({ index }) => options.lagging?.includes(index) ?? false,
      graceMs: options.graceMs ?? 60_000,
      timeoutMs: options.timeoutMs ?? 60_000,
      signal,
    })

  it('given one that does not answer, when the others have, then it is waited for a little and no longer', async () => {
    const { answers, failures } = await ask((index, signal) => (index === 3 ? never(signal) : Promise.resolve(index)), { graceMs: 1 })
    expect([...answers.keys()]).to.deep.equal([0, 1, 2])
    expect(failures.get(3)?.kind).to.equal('late')
  })

  it('given one that lags, when the others have answered, then it is not waited for at all', async () => {
    const { answers } = await ask((index, signal) => (index === 3 ? never(signal) : Promise.resolve(index)), { lagging: [3] })
    expect(answers.size).to.equal(3)
  })

  it('given two of four that refuse, when they have, then nobody else is waited for, and their reasons are kept', async () => {
    const { answers, failures } = await ask((index, signal) => (index < 2 ? Promise.reject(new Refused(`no ${index}`)) : never(signal)))
    expect(answers.size).to.equal(0)
    expect([...failures.values()].map(({ reason, kind }) => `${kind}: ${reason}`)).to.deep.equal(['refused: no 0', 'refused: no 1'])
  })

  it('given too few answers, when time is up, then what there is comes back', async () => {
    const { answers } = await ask((index, signal) => (index > 0 ? never(signal) : Promise.resolve(7)), { timeoutMs: 1 })
    expect([...answers]).to.deep.equal([[0, 7]])
  })
})

describe('admission of blobs', () => {
  const refusal = (enter: () => void): GrpcError => {
    try {
      enter()
    } catch (error) {
      return error as GrpcError
    }
    throw new Error('it was let in')
  }

  it('given a full queue, when a blob comes, then it is refused with how full it is, and let in once there is room', () => {
    const admission = new Admission({ maxPendingBytes: 10 * KIB, peerBytesPerSecond: 1e9, peerBlobsPerSecond: 1e9 })
    admission.enter('1.2.3.4:1', 8 * KIB)
    const { code, message } = refusal(() => admission.enter('1.2.3.5:1', 4 * KIB))
    expect(code).to.equal(status.RESOURCE_EXHAUSTED)
    expect(message).to.contain('8192 bytes wait').and.contain('10240')
    admission.leave(8 * KIB)
    admission.enter('1.2.3.5:1', 40 * KIB)
    expect(admission.pendingBytes).to.equal(40 * KIB)
  })

  it('given a peer that is too fast, when it sends more, then it is told how long to wait, whatever its port, and others are not', () => {
    let now = 0
    const admission = new Admission({ maxPendingBytes: 1e9, peerBytesPerSecond: KIB, peerBlobsPerSecond: 1000, now: () => now })
    admission.enter('ipv4:1.2.3.4:1', 15 * KIB)
    const { code, message } = refusal(() => admission.enter('ipv4:1.2.3.4:2', 1))
    expect(code).to.equal(status.RESOURCE_EXHAUSTED)
    expect(message).to.contain('1.2.3.4').and.contain('5 s')
    admission.enter('ipv4:1.2.3.5:1', 1)
    now = 5001
    admission.enter('ipv4:1.2.3.4:3', 1)
  })

  it('given a peer that sends many blobs, when it sends one too many, then it is refused however small they are', () => {
    const admission = new Admission({ maxPendingBytes: 1e9, peerBytesPerSecond: 1e9, peerBlobsPerSecond: 1, now: () => 0 })
    for (let i = 0; i < 10; i++) admission.enter('1.2.3.4:1', 1)
    expect(refusal(() => admission.enter('1.2.3.4:1', 1)).code).to.equal(status.RESOURCE_EXHAUSTED)
  })
})

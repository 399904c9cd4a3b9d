import { expect } from 'chai'
import { ApiError } from '../../../keepers/compute/provider/errors.ts'
import { Slots } from '../../../keepers/compute/provider/slots.ts'

const stays = new AbortController().signal

async function refusal(entering: Promise<unknown>): Promise<ApiError> {
  const error = await entering.then(
    () => undefined,
    (error) => error,
  )
  expect(error).to.be.instanceOf(ApiError)
  return error
}

describe('places at work', () => {
  const options = { maxConcurrent: 2, maxConcurrentPerUser: 2, maxQueued: 2, queueMs: 60_000 }

  it('given two places, the third request enters when one of the first leaves', async () => {
    const slots = new Slots(options)
    const leave = await slots.enter('a', stays)
    await slots.enter('b', stays)
    const third = slots.enter('c', stays)
    expect([slots.busy, slots.waiting]).to.deep.equal([2, 1])
    leave()
    await third
    expect([slots.busy, slots.waiting]).to.deep.equal([2, 0])
  })

  it('given a user at her own limit, those who wait behind her pass', async () => {
    const slots = new Slots({ ...options, maxConcurrent: 3, maxConcurrentPerUser: 1 })
    await slots.enter('a', stays)
    const own = slots.enter('a', stays)
    await slots.enter('b', stays)
    expect(slots.waiting).to.equal(1)
    own.catch(() => {})
  })

  it('given a user who waits as often as she may, her next request is told 429 and another user is not', async () => {
    const slots = new Slots({ ...options, maxConcurrentPerUser: 1 })
    await slots.enter('a', stays)
    slots.enter('a', stays).catch(() => {})
    const error = await refusal(slots.enter('a', stays))
    expect([error.status, error.code, error.retryAfter]).to.deep.equal([429, 'rate_limit_exceeded', 60])
    await slots.enter('b', stays)
  })

  it('given a full queue, the next request is told 503 and when to come back', async () => {
    const slots = new Slots({ ...options, maxConcurrent: 1, maxQueued: 1, queueMs: 2500 })
    await slots.enter('a', stays)
    slots.enter('b', stays).catch(() => {})
    const error = await refusal(slots.enter('c', stays))
    expect([error.status, error.retryAfter]).to.deep.equal([503, 3])
  })

  it('given nobody leaves, a request that waited its time is told 503 and leaves no trace', async () => {
    const slots = new Slots({ ...options, maxConcurrent: 1, queueMs: 20 })
    const leave = await slots.enter('a', stays)
    expect((await refusal(slots.enter('b', stays))).status).to.equal(503)
    leave()
    expect([slots.busy, slots.waiting]).to.deep.equal([0, 0])
  })

  it('given a client that goes away while it waits, it takes no place', async () => {
    const slots = new Slots({ ...options, maxConcurrent: 1 })
    const leave = await slots.enter('a', stays)
    const client = new AbortController()
    const waiting = refusal(slots.enter('b', client.signal))
    client.abort()
    await waiting
    leave()
    expect(slots.busy).to.equal(0)
  })
})

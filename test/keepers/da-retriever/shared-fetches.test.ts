import assert from 'node:assert/strict'
import { SharedFetches } from '../../../keepers/da/retriever/shared-fetches.ts'

describe('fetches that callers share', () => {
  /** A fetch that ends when it is told to, or aborted. */
  function pending() {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    let signal: AbortSignal | undefined
    const fetch = (given: AbortSignal): Promise<string> => {
      signal = given
      given.addEventListener('abort', () => reject(given.reason))
      return promise
    }
    return { fetch, resolve, aborted: () => signal?.aborted }
  }
  const unexpected = async (): Promise<string> => assert.fail('one is under way')
  const stays = new AbortController().signal

  it('are made once for a key, and anew when they are done', async () => {
    const fetches = new SharedFetches<string>()
    const one = pending()
    const callers = [fetches.join('a', stays, one.fetch), fetches.join('a', stays, unexpected), fetches.join('b', stays, async () => 'other')]
    one.resolve('first')
    assert.deepEqual(await Promise.all(callers), ['first', 'first', 'other'])
    assert.equal(await fetches.join('a', stays, async () => 'second'), 'second')
  })

  it('fail for all who share them, and may succeed the next time', async () => {
    const fetches = new SharedFetches<string>()
    const failing = async (): Promise<string> => Promise.reject(new Error('disk'))
    const callers = [fetches.join('a', stays, failing), fetches.join('a', stays, unexpected)]
    for (const caller of callers) await assert.rejects(caller, /disk/)
    assert.equal(await fetches.join('a', stays, async () => 'again'), 'again')
  })

  it('go on while one caller stays', async () => {
    const fetches = new SharedFetches<string>()
    const one = pending()
    const leaving = new AbortController()
    const gone = fetches.join('a', leaving.signal, one.fetch)
    const staying = fetches.join('a', stays, unexpected)
    leaving.abort(new Error('gone'))
    await assert.rejects(gone, /gone/)
    assert.equal(one.aborted(), false)
    one.resolve('here')
    assert.equal(await staying, 'here')
  })

  it('end when the last caller leaves, and begin anew for who comes then', async () => {
    const fetches = new SharedFetches<string>()
    const one = pending()
    const leaving = new AbortController()
    const callers = [fetches.join('a', leaving.signal, one.fetch), fetches.join('a', leaving.signal, unexpected)]
    leaving.abort(new Error('gone'))
    for (const caller of callers) await assert.rejects(caller, /gone/)
    assert.equal(one.aborted(), true)
    assert.equal(await fetches.join('a', stays, async () => 'anew'), 'anew')
  })

  it('are not begun for who is gone', async () => {
    const fetches = new SharedFetches<string>()
    await assert.rejects(fetches.join('a', AbortSignal.abort(), unexpected), { name: 'AbortError' })
  })
})

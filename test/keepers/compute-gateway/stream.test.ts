import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { EventBoundaries } from '../../../keepers/compute/gateway/event-boundaries.ts'
import { relayEvents, type StreamEnd } from '../../../keepers/compute/gateway/stream.ts'

describe('gateway: streams', () => {
  describe('event boundaries', () => {
    const text = 'data: {"a":1}\n\ndata: two\nid: 3\r\n\r\n: comment\n\ndata: [DONE]\n\n'
    for (const size of [1, 2, 3, 7, 1000]) {
      it(`given a stream in pieces of ${size}, then whole events come out, byte for byte`, () => {
        const boundaries = new EventBoundaries()
        const out: string[] = []
        for (let at = 0; at < text.length; at += size) out.push(boundaries.push(Buffer.from(text.slice(at, at + size))).toString())
        expect(out.join('')).to.equal(text)
        for (const piece of out) expect(piece === '' || /\n\r?\n$/.test(piece), JSON.stringify(piece)).to.equal(true)
        expect(boundaries.pending).to.equal(0)
      })
    }

    it('given a torn event, then it stays inside', () => {
      const boundaries = new EventBoundaries()
      expect(boundaries.push(Buffer.from('data: 1\n\ndata: {"to')).toString()).to.equal('data: 1\n\n')
      expect(boundaries.pending).to.equal(10)
    })

    it('given an event without end, then it stops reading', () => {
      const boundaries = new EventBoundaries()
      const mebibyte = Buffer.alloc(1024 * 1024, 'a')
      expect(() => {
        for (let i = 0; i < 9; i++) boundaries.push(mebibyte)
      }).to.throw('an event without end')
    })
  })

  describe('relayed events', () => {
    async function* events(texts: string[], error?: Error) {
      for (const text of texts) yield Buffer.from(text)
      if (error) throw error
    }
    async function run(source: AsyncIterable<Uint8Array>, gone = new AbortController().signal) {
      const ends: StreamEnd[] = []
      const out: Uint8Array[] = []
      for await (const bytes of relayEvents(source, gone, (end) => ends.push(end))) out.push(bytes)
      expect(ends.length).to.equal(1)
      return { end: ends[0]!, text: Buffer.concat(out).toString() }
    }
    const whole = ['data: {"choices":[]}\n\n', 'data: {"content":"data: [DONE]"}\n\n', 'data: [DONE]\n\n']

    it('given a stream that ends with its mark, then it passes unchanged and its hash is told', async () => {
      const { end, text } = await run(events(whole))
      expect(text).to.equal(whole.join(''))
      expect(end).to.deep.equal({ outcome: 'answered', responseHash: `0x${createHash('sha256').update(text).digest('hex')}` })
    })

    for (const [what, source] of [
      ['ends without its mark', () => events(whole.slice(0, 2))],
      ['breaks off', () => events(whole.slice(0, 2), new Error('other side closed'))],
    ] as const) {
      it(`given a stream that ${what}, then an error in OpenAI's shape is its last event`, async () => {
        const { end, text } = await run(source())
        expect(end.outcome).to.equal('interrupted')
        expect(text.startsWith(whole.slice(0, 2).join(''))).to.equal(true)
        const last = JSON.parse(text.slice(whole.slice(0, 2).join('').length).replace(/^data: /, ''))
        expect(last.error).to.include({ type: 'server_error', code: 'stream_interrupted', param: null })
        expect(text).to.not.match(/^data: \[DONE\]/m)
      })
    }

    it('given a stream in which the provider says itself why it ends, then nothing is added', async () => {
      const said = [...whole.slice(0, 1), 'data: {"error":{"message":"out of memory"}}\n\n']
      const { end, text } = await run(events(said))
      expect(text).to.equal(said.join(''))
      expect(end.outcome).to.equal('interrupted')
    })

    it('given a client that leaves while the provider is silent, then the break is not held against the provider', async () => {
      const { end, text } = await run(events(whole.slice(0, 1), new Error('aborted')), AbortSignal.abort())
      expect(end).to.deep.equal({ outcome: 'cancelled' })
      expect(text).to.equal(whole[0])
    })

    it('given a client that leaves, then that is how it ended', async () => {
      const ends: StreamEnd[] = []
      const relayed = relayEvents(events(whole), new AbortController().signal, (end) => ends.push(end))
      await relayed.next()
      await relayed.return(undefined)
      expect(ends).to.deep.equal([{ outcome: 'cancelled' }])
    })
  })
})

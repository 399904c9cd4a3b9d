import { createHash } from 'node:crypto'
import { reasonOf } from '../../../sdk/errors.ts'
import { GatewayError } from './errors.ts'

/** How a stream ended. */
export type StreamEnd =
  /** As it should; `responseHash` is SHA-256 of all its bytes, 0x hex. */
  | { outcome: 'answered'; responseHash: string }
  /** The provider broke off. */
  | { outcome: 'interrupted'; reason: string }
  /** The client left. */
  | { outcome: 'cancelled' }

const END_MARK = /^data: ?\[DONE\]\s*$/m
const ERROR_EVENT = /^data: ?\{\s*"error"\s*:/m

/**
 * The events of a provider, byte for byte. One that breaks off ends in an error in OpenAI's shape and without the end mark: another provider
 * would begin another answer. @param gone aborted when the client has left; @param ended told once, when nothing more comes
 */
export async function* relayEvents(events: AsyncIterable<Uint8Array>, gone: AbortSignal, ended: (end: StreamEnd) => void): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  let end: StreamEnd = { outcome: 'cancelled' }
  let isMarked = false
  let saidWhy = false
  try {
    for await (const bytes of events) {
      hash.update(bytes)
      const text = Buffer.from(bytes).toString('utf8')
      isMarked ||= END_MARK.test(text)
      saidWhy ||= ERROR_EVENT.test(text)
      yield bytes
    }
    if (isMarked) end = { outcome: 'answered', responseHash: `0x${hash.digest('hex')}` }
    else if (saidWhy) end = { outcome: 'interrupted', reason: 'it ended its stream with an error' }
    else {
      end = { outcome: 'interrupted', reason: 'its stream ended without the end mark' }
      yield errorEvent(end.reason)
    }
  } catch (error) {
    if (gone.aborted) return
    end = { outcome: 'interrupted', reason: reasonOf(error) }
    yield errorEvent(end.reason)
  } finally {
    ended(end)
  }
}

function errorEvent(reason: string): Uint8Array {
  const { body } = new GatewayError(502, 'stream_interrupted', `the provider broke off its answer: ${reason}`)
  return Buffer.from(`data: ${JSON.stringify(body)}\n\n`)
}

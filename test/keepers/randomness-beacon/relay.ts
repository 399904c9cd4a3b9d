import { type FastifyReply, fastify } from 'fastify'
import { sign } from '../../contracts/randomness/network.ts'

export const NETWORK = 'ab'.repeat(32)

/** A relay of the test network, which can be told to answer something else. */
export interface Relay {
  url: string
  /** Rounds that were asked for. */
  asked: number[]
  answer: (reply: FastifyReply, round: number) => unknown
  stop(): Promise<void>
}

/** What a good relay answers for a round, as drand's HTTP API has it. */
export const beacon = (round: number, signature = sign(BigInt(round))) => ({ round, randomness: 'not looked at', signature: signature.slice(2) })

export async function startRelay(answer: Relay['answer'] = (_, round) => beacon(round)): Promise<Relay> {
  const app = fastify({ forceCloseConnections: true })
  const relay: Relay = { url: '', asked: [], answer, stop: () => app.close() }
  app.get<{ Params: { round: string } }>(`/${NETWORK}/public/:round`, async ({ params }, reply) => {
    relay.asked.push(Number(params.round))
    return relay.answer(reply, Number(params.round))
  })
  relay.url = await app.listen({ port: 0, host: '127.0.0.1' })
  return relay
}

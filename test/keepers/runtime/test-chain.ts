import type { AddressInfo } from 'node:net'
import { type FastifyInstance, fastify } from 'fastify'
import { network } from 'hardhat'

type Params = readonly unknown[]

/** A real chain (EDR) behind HTTP, whose endpoint can be taken away, limited, or replaced. */
export interface TestChain {
  readonly rpcUrl: string
  /** Calls by method since the last `forgetCalls`. */
  readonly calls: Map<string, number>
  rpc(method: string, params?: Params): Promise<any>
  /** Stops listening; requests under way are cut. */
  down(): Promise<void>
  up(): Promise<void>
  /** Answers eth_getLogs over more blocks with an error. */
  limitRange(blocks: number): void
  /** Another chain with another genesis at the same address. */
  replace(): Promise<void>
  stop(): Promise<void>
}

export interface TestChainOptions {
  chainId?: number
  automine?: boolean
}

let birthdays = 0

export async function startTestChain({ chainId = 31337, automine = true }: TestChainOptions = {}): Promise<TestChain> {
  const connect = async () =>
    network.create({
      network: 'default',
      // Chains born at different times have different genesis blocks.
      override: {
        chainId,
        initialDate: new Date(Date.UTC(2025, 0, 1) + 86_400_000 * birthdays++),
        mining: { auto: automine },
        throwOnTransactionFailures: false,
      },
    })
  let connection = await connect()
  let server: FastifyInstance | undefined
  let port = 0
  let mostBlocks = Number.POSITIVE_INFINITY
  const calls = new Map<string, number>()

  const rpc = (method: string, params: Params = []) => connection.provider.request({ method, params: params as unknown[] })

  const answer = async ({ id, method, params }: { id: number; method: string; params: Params }) => {
    calls.set(method, (calls.get(method) ?? 0) + 1)
    if (method === 'eth_getLogs') {
      const { fromBlock, toBlock } = params[0] as { fromBlock: string; toBlock: string }
      if (Number(toBlock) - Number(fromBlock) + 1 > mostBlocks)
        return { jsonrpc: '2.0', id, error: { code: -32005, message: `more than ${mostBlocks} blocks` } }
    }
    try {
      return { jsonrpc: '2.0', id, result: await rpc(method, params) }
    } catch (error) {
      const { code, message, data } = error as { code?: number; message: string; data?: unknown }
      return { jsonrpc: '2.0', id, error: { code: code ?? -32000, message, data } }
    }
  }

  const up = async () => {
    server = fastify({ forceCloseConnections: true })
    server.post('/', async ({ body }) => (Array.isArray(body) ? Promise.all(body.map(answer)) : answer(body as never)))
    await server.listen({ host: '127.0.0.1', port })
    port = (server.server.address() as AddressInfo).port
  }
  const down = async () => {
    await server?.close()
    server = undefined
  }
  await up()

  return {
    rpcUrl: `http://127.0.0.1:${port}`,
    calls,
    rpc,
    up,
    down,
    limitRange(blocks) {
      mostBlocks = blocks
    },
    async replace() {
      const old = connection
      connection = await connect()
      await old.close()
    },
    async stop() {
      await down()
      await connection.close()
    },
  }
}

/** Creation code of a contract whose code is `runtime` (under 256 bytes): PUSH1 len, DUP1, PUSH1 11, PUSH1 0, CODECOPY, PUSH1 0, RETURN. */
export const creationCode = (runtime: string): string => `0x60${(runtime.length / 2).toString(16).padStart(2, '0')}80600b6000396000f3${runtime}`

/** LOG1 with the first word of the call data as topic, without data. */
export const EMITTER = '6000356000' + '6000a100'

/** REVERT with the call data as revert data. */
export const REVERTER = '366000600037366000fd'

/** Stops while TIMESTAMP is below the first word of the call data; from then on reverts with the rest of it. */
export const EXPIRING = '600035421060155760203603806020600037' + '6000fd5b00'

export async function deploy(chain: TestChain, runtime: string): Promise<string> {
  const [from] = await chain.rpc('eth_accounts')
  const hash = await chain.rpc('eth_sendTransaction', [{ from, data: creationCode(runtime) }])
  const pending = (await chain.rpc('eth_getTransactionReceipt', [hash])) === null
  if (pending) await chain.rpc('evm_mine')
  return (await chain.rpc('eth_getTransactionReceipt', [hash])).contractAddress
}

/** Makes the emitter log `word`, in a block of its own on an automining chain. */
export async function emit(chain: TestChain, emitter: string, word: number): Promise<void> {
  const [from] = await chain.rpc('eth_accounts')
  await chain.rpc('eth_sendTransaction', [{ from, to: emitter, data: `0x${word.toString(16).padStart(64, '0')}` }])
}

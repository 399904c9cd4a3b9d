import { setTimeout as sleep } from 'node:timers/promises'
import { createRuntime, openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { createKvKeeper, kvKeeper } from '../../../keepers/storage/kv/keeper.ts'
import { FileTree } from '../../../protocol/storage/merkle.ts'
import type { StreamDataBuilder } from '../../../protocol/storage/streams.ts'
import { submissionOf } from '../../../protocol/storage/submission.ts'
import { connectFlow } from '../../../sdk/contracts.ts'
import { KvClient } from '../../../sdk/storage/kv-client.ts'
import { submit } from '../../../sdk/storage/submit.ts'
import { upload } from '../../../sdk/storage/upload.ts'
import type { Network } from '../../support/network.ts'

/** A KV keeper of its own beside the network's, with settings a test chooses, in memory or in a folder to start again from. */
export async function startKv(network: Network, settings: object, dataDir?: string) {
  const log = createLog({ name: 'test', level: 'fatal' })
  const backend = await openBackend({ dataDir, log })
  const runtime = createRuntime({ name: 'storage/kv', backend, log })
  const config = kvKeeper.schema.parse({ rpcUrl: network.rpcUrl, pollMs: 50, port: 0, flow: network.contracts.Flow, nodes: network.nodes, ...settings })
  const keeper = await createKvKeeper(config, runtime)
  await keeper.start()
  const client = new KvClient(keeper.url!)
  return {
    url: keeper.url!,
    client,
    keeper,
    resultOf: (seq: number) => resultOf(client, seq),
    async stop() {
      await keeper.stop()
      await runtime.close()
      await backend.close()
    },
  }
}

export type KvUnderTest = Awaited<ReturnType<typeof startKv>>

/** The result of a submission once there is one. */
export async function resultOf(client: KvClient, seq: number): Promise<string> {
  for (;;) {
    const result = await client.transactionResult(seq)
    if (result !== undefined) return result
    await sleep(20)
  }
}

/** Uploads stream data. Returns the number of the submission. */
export async function put(network: Network, account: number, builder: StreamDataBuilder): Promise<number> {
  const { data, tags } = builder.build()
  const { seq } = await upload(data, { signer: network.wallet(account), nodes: network.nodes, tags })
  return seq
}

/** Submits stream data to the log, and sends them to nobody. */
export async function submitOnly(network: Network, account: number, builder: StreamDataBuilder): Promise<number> {
  const { data, tags } = builder.build()
  const signer = network.wallet(account)
  const contracts = await connectFlow(network.contracts.Flow!, signer)
  const { seq } = await submit(contracts, signer, submissionOf(FileTree.fromBytes(data), data.length, tags), { timeout: 30_000 })
  return seq
}

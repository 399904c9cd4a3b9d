import { join } from 'node:path'
import { disperser } from '../keepers/da/disperser/keeper.ts'
import { retriever } from '../keepers/da/retriever/keeper.ts'
import { sampler } from '../keepers/da/sampler/keeper.ts'
import { daSigner } from '../keepers/da/signer/keeper.ts'
import type { KeeperDefinition } from '../keepers/runtime/keeper.ts'
import { ACCOUNTS } from './accounts.ts'
import { localUrl, type NetworkDescription, type Service } from './service.ts'

/** On one machine a signer that has not stored or signed soon after the others is not going to, and blocks are not undone but by its user. */
const QUICK_CERTIFICATES = { batchMs: 100, graceMs: 300, finalityBlocks: 3 }

/** Of each signer in a second: enough to see rewards, and leaves the machine to its user. */
const SAMPLED_CHUNKS = 64

export function daServices({ rpcUrl, accounts, contracts, ports, folder }: NetworkDescription): Service[] {
  const key = (account: number) => ({ privateKey: accounts[account]!.privateKey })
  const service = (name: string, definition: KeeperDefinition<any>, config: object, publish?: Service['publish']): Service => ({
    name,
    definition,
    config: {
      rpcUrl,
      pollMs: 250,
      dataDir: join(folder, name.replaceAll('/', '-')),
      dataAvailability: contracts.DataAvailability,
      ...config,
    },
    ...(publish && { publish }),
  })
  const signers = ports.daSigners.map((port) => `127.0.0.1:${port}`)
  return [
    ...ports.daSigners.map((port, i) =>
      service(`da/signer/${i}`, daSigner, {
        ...key(ACCOUNTS.daSigners[i]!),
        port,
        httpPort: ports.daSignersHttp[i]!,
        challenges: contracts.AvailabilityChallenges,
        payments: contracts.BlobPayments,
        bonds: contracts.Bonds,
        checkMs: 1000,
      }),
    ),
    service(
      'da/disperser',
      disperser,
      {
        ...key(ACCOUNTS.daDisperser),
        port: ports.daDisperser[0],
        httpPort: ports.daDisperserHttp[0],
        payments: contracts.BlobPayments,
        challenges: contracts.AvailabilityChallenges,
        sponsor: true,
        ...QUICK_CERTIFICATES,
      },
      (urls, at) => {
        urls.daDisperser = at
      },
    ),
    service('da/retriever', retriever, { port: ports.daRetriever[0], httpPort: ports.daRetrieverHttp[0] }, (urls) => {
      urls.daRetriever = localUrl(ports.daRetrieverHttp[0]!)
    }),
    service('da/sampler', sampler, {
      ...key(ACCOUNTS.daSampler),
      port: ports.daSampler[0],
      signers,
      samplingRewards: contracts.SamplingRewards,
      chunksPerSecond: SAMPLED_CHUNKS,
    }),
  ]
}

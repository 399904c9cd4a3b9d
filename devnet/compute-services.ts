import { join } from 'node:path'
import { collateralKeeper } from '../keepers/attestation/collateral/keeper.ts'
import { gateway } from '../keepers/compute/gateway/keeper.ts'
import { computeProvider } from '../keepers/compute/provider/keeper.ts'
import { tuning } from '../keepers/compute/tuning/keeper.ts'
import type { KeeperDefinition } from '../keepers/runtime/keeper.ts'
import { ACCOUNTS } from './accounts.ts'
import { fundGateway } from './gateway-account.ts'
import { localUrl, type NetworkDescription, type Service } from './service.ts'

/** Wei for a token in and out, of each provider: a gateway has something to choose. */
const PRICES = [
  { inputPrice: 10_000_000_000_000n, outputPrice: 20_000_000_000_000n },
  { inputPrice: 15_000_000_000_000n, outputPrice: 30_000_000_000_000n },
]

/** Soon, so that whoever asks sees the provider paid, and at a price that is worth the gas. */
const QUICK_SETTLEMENT = { settleMs: 500, settleAfterSeconds: 5, settleGasPercent: 100 }

export function computeServices(network: NetworkDescription): Service[] {
  const { rpcUrl, accounts, contracts, ports, folder, simulatedTee, modules } = network
  const key = (account: number) => ({ privateKey: accounts[account]!.privateKey })
  const service = (name: string, definition: KeeperDefinition<any>, port: number, config: object, publish?: Service['publish']): Service => ({
    name,
    definition,
    config: { rpcUrl, pollMs: 250, port, dataDir: join(folder, name.replaceAll('/', '-')), ...config },
    ...(publish && { publish }),
  })
  const attested = (port: number) => ({ registry: contracts.TeeSignerRegistry, simulatedTee, autoRegister: true, publicUrl: localUrl(port) })
  const [collateral, tuningPort, gatewayPort] = [ports.collateral[0]!, ports.computeTuning[0]!, ports.computeGateway[0]!]
  return [
    service('attestation/collateral', collateralKeeper, collateral, { collateral: contracts.CollateralRegistry, simulatedTee, ...key(ACCOUNTS.collateral) }),
    ...ports.computeProviders.map((port, i) =>
      service(
        `compute/provider/${i}`,
        computeProvider,
        port,
        {
          inference: contracts.InferenceServing,
          disputes: contracts.ReceiptDisputes,
          ...attested(port),
          ...key(ACCOUNTS.computeProviders[i]!),
          ...PRICES[i],
          ...QUICK_SETTLEMENT,
          ...upstream(i),
        },
        (urls, at) => {
          urls.computeProviders = [...(urls.computeProviders ?? []), { address: accounts[ACCOUNTS.computeProviders[i]!]!.address, url: at }]
        },
      ),
    ),
    service(
      'compute/tuning',
      tuning,
      tuningPort,
      {
        serving: contracts.FineTuningServing,
        ...attested(tuningPort),
        ...key(ACCOUNTS.computeTuning),
        checkMs: 1000,
        ...(modules.includes('storage') && { indexer: localUrl(ports.storageIndexer[0]!) }),
      },
      (urls, at) => {
        urls.tuningProvider = { address: accounts[ACCOUNTS.computeTuning]!.address, url: at }
      },
    ),
    {
      ...service(
        'compute/gateway',
        gateway,
        gatewayPort,
        { inference: contracts.InferenceServing, registry: contracts.TeeSignerRegistry, allowDevelopment: true, ...key(ACCOUNTS.computeGateway) },
        (urls, at) => {
          urls.gateway = at
        },
      ),
      prepare: () => fundGateway(network),
    },
  ]
}

/** The first provider serves the model behind UPSTREAM_URL, where there is one. */
function upstream(provider: number): object {
  const { UPSTREAM_URL: upstreamUrl, UPSTREAM_KEY: upstreamKey } = process.env
  return provider === 0 && upstreamUrl ? { backend: 'upstream', upstreamUrl, ...(upstreamKey && { upstreamKey }) } : {}
}

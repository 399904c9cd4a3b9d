import { computeAddress, hexlify, parseEther } from 'ethers'
import { gateway } from '../../../keepers/compute/gateway/keeper.ts'
import { type Backend, createRuntime, type Keeper } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { simulatedSource } from '../../../sdk/attestation/collateral-source.ts'
import { openTee } from '../../../sdk/attestation/open-tee.ts'
import { ensureRegistered } from '../../../sdk/attestation/register.ts'
import { connectCompute } from '../../../sdk/compute/contracts.ts'
import { deposit, fund } from '../../../sdk/compute/ledger.ts'
import { type AttestationChain, startAttestationChain } from '../../support/attestation.ts'

const DAY = 86_400n
export const GATEWAY_ACCOUNT = 10

/** A chain with the compute marketplace, and a ledger of the gateway's account. */
export async function startMarketplace(): Promise<AttestationChain> {
  const profile = { access: {}, stake: true as const, attestation: { lifetime: 7n * DAY, minimumEvaluation: 0n }, compute: { lockTime: DAY } }
  const chain = await startAttestationChain({ profile })
  await deposit(connectCompute(chain.contracts, chain.wallet(GATEWAY_ACCOUNT)), parseEther('20'))
  return chain
}

export interface ServiceOptions {
  /** Development account of the provider. */
  account: number
  url: string
  inputPrice: bigint
  outputPrice: bigint
  /** Wei that the gateway's account has there; none without. */
  funds?: bigint
  attested?: boolean
}

/** Registers a service with an attested signer of its own. Gives the provider's address. */
export async function registerService(
  chain: AttestationChain,
  { account, url, inputPrice, outputPrice, funds, attested = true }: ServiceOptions,
): Promise<string> {
  const wallet = chain.wallet(account)
  const tee = openTee({ simulated: chain.file, application: 'compute/provider', instance: String(account) })
  const signer = computeAddress(hexlify(await tee.key('signer')))
  const source = simulatedSource(chain.file, chain.now)
  if (attested) await ensureRegistered({ tee, signer, registry: chain.contracts.TeeSignerRegistry!, provider: chain.provider, send: chain.send, source })
  const { inference } = connectCompute(chain.contracts, wallet)
  const params = { serviceType: 'chatbot', url, model: 'm', verifiability: 'TeeML', inputPrice, outputPrice, additionalInfo: '{}', teeSignerAddress: signer }
  await (await inference.addOrUpdateService(params, { value: parseEther('100') })).wait()
  if (funds !== undefined) await fund(connectCompute(chain.contracts, chain.wallet(GATEWAY_ACCOUNT)), wallet.address, funds)
  return wallet.address
}

export interface RunningGateway {
  url: string
  keeper: Keeper
  stop(): Promise<void>
}

let gateways = 0

export async function startGateway(
  chain: AttestationChain,
  backend: Backend,
  changes: object = {},
  name = `compute/gateway/${gateways++}`,
): Promise<RunningGateway> {
  const runtime = createRuntime({ name, backend, log: createLog({ name, level: process.env.TEST_LOG ?? 'silent' }) })
  const config = gateway.schema.parse({
    rpcUrl: chain.chain.url,
    inference: chain.contracts.InferenceServing,
    registry: chain.contracts.TeeSignerRegistry,
    privateKey: chain.wallet(GATEWAY_ACCOUNT).privateKey,
    allowDevelopment: true,
    port: 0,
    pollMs: 20,
    refreshMs: 100,
    ...changes,
  })
  let keeper: Keeper | undefined
  const stop = async () => {
    await keeper?.stop()
    await runtime.close()
  }
  try {
    keeper = await gateway.create(config, runtime)
    await keeper.start()
  } catch (error) {
    await stop()
    throw error
  }
  return { url: keeper.url!, keeper, stop }
}

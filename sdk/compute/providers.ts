import { PerigeeError } from '../errors.ts'
import type { ComputeContracts } from './contracts.ts'

/** A provider as the chain describes it. Prices in wei per unit, times in unix seconds. */
export interface Provider {
  address: string
  url: string
  model: string
  serviceType: string
  inputPrice: bigint
  outputPrice: bigint
  verifiability: string
  /** The key its answers are signed with. */
  signer: string
  /** Until when the registry vouches for that key; 0 if it does not. */
  attestedUntil: number
  /** Whether the chain says now that the signer is attested and that the provider's stake is there. */
  acknowledged: boolean
  /** A rise or fall that was announced and is not yet in force. */
  nextPrice?: { inputPrice: bigint; outputPrice: bigint; effectiveAt: number }
}

/** The contract gives at most so many services at once. */
const PAGE = 50

/** Every provider of inference, the cheapest first. */
export async function listProviders({ inference, registry }: Pick<ComputeContracts, 'inference' | 'registry'>): Promise<Provider[]> {
  const addresses: string[] = []
  for (let offset = 0; ; offset += PAGE) {
    const { services, total } = await inference.getAllServices(offset, PAGE)
    addresses.push(...services.map(({ provider }) => provider))
    if (services.length === 0 || addresses.length >= Number(total)) break
  }
  const providers = await Promise.all(addresses.map((address) => findProvider({ inference, registry }, address)))
  return providers.sort((a, b) => Number(a.inputPrice + a.outputPrice - (b.inputPrice + b.outputPrice)))
}

/** One provider. @throws PerigeeError NOT_FOUND when it offers no service. */
export async function findProvider({ inference, registry }: Pick<ComputeContracts, 'inference' | 'registry'>, address: string): Promise<Provider> {
  if (!(await inference.serviceExists(address))) throw new PerigeeError('NOT_FOUND', `${address} offers no inference`)
  const [service, versions] = await Promise.all([inference.getService(address), inference.priceVersion(address)])
  const [attestedUntil, announced] = await Promise.all([
    registry.attestedUntil(service.teeSignerAddress),
    versions.latest > versions.current ? inference.priceOf(address, versions.latest) : undefined,
  ])
  const { url, model, serviceType, inputPrice, outputPrice, verifiability } = service
  return {
    address: service.provider,
    url,
    model,
    serviceType,
    inputPrice,
    outputPrice,
    verifiability,
    signer: service.teeSignerAddress,
    attestedUntil: Number(attestedUntil),
    acknowledged: service.teeSignerAcknowledged,
    ...(announced && {
      nextPrice: { inputPrice: announced.inputPrice, outputPrice: announced.outputPrice, effectiveAt: Number(announced.effectiveAt) },
    }),
  }
}

/**
 * The provider to ask: the one named, or the cheapest attested one that offers the model.
 * @throws PerigeeError NOT_FOUND when there is none, VERIFICATION_FAILED when the one named is not attested.
 */
export async function chooseProvider(
  contracts: Pick<ComputeContracts, 'inference' | 'registry'>,
  { provider, model }: { provider?: string | undefined; model?: string | undefined },
): Promise<Provider> {
  if (provider) {
    const named = await findProvider(contracts, provider)
    if (named.acknowledged) return named
    throw new PerigeeError('VERIFICATION_FAILED', `${provider} is not attested`, {
      details: [
        named.attestedUntil === 0
          ? 'the registry does not vouch for its signer'
          : `its registration expired at ${new Date(named.attestedUntil * 1000).toISOString()}, or its stake is gone`,
      ],
      wayOut: 'Choose another: `perigee compute providers` lists them.',
    })
  }
  const all = await listProviders(contracts)
  const chosen = all.find((candidate) => candidate.acknowledged && (model === undefined || candidate.model === model))
  if (chosen) return chosen
  throw new PerigeeError('NOT_FOUND', model ? `no attested provider offers ${model}` : 'there is no attested provider', {
    details: all.map(({ address, model: offered, acknowledged }) => `${address} ${offered}${acknowledged ? '' : ' (not attested)'}`),
  })
}

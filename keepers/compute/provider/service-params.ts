import { ConfigError } from '../../runtime/config.ts'
import type { Model } from './backends/backend.ts'
import type { Config } from './config.ts'
import type { ServiceParams } from './registration.ts'

/** What is registered on chain: the first model under its name, the others under the public SDK's mark for several. */
export function serviceParams(config: Config, { url, models, signer }: { url: string; models: readonly Model[]; signer: string }): ServiceParams {
  const [model] = models
  if (!model) throw new ConfigError(['the backend has no model to offer'])
  const { serviceType, verifiability, inputPrice, outputPrice, publicUrl, simulatedTee } = config
  const additionalInfo = {
    // The format of the evidence, which the public SDK looks at; the simulated one has it too, and is marked.
    TEEVerifier: 'dstack',
    ...(simulatedTee !== undefined && { Simulated: true }),
    TargetSeparated: false,
    ProviderType: 'decentralized',
    MultiModel: models.length > 1,
    ...config.additionalInfo,
  }
  return {
    serviceType,
    url: publicUrl ?? url,
    model: model.id,
    verifiability,
    inputPrice,
    outputPrice,
    additionalInfo: JSON.stringify(additionalInfo),
    teeSignerAddress: signer,
  }
}

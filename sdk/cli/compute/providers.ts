import { Command } from 'commander'
import { listProviders, type Provider } from '../../compute/providers.ts'
import { print, table, time } from '../output.ts'
import { type ComputeFlags, marketOf, withComputeOptions } from './options.ts'

export function providersCommand(): Command {
  return withComputeOptions(new Command('providers').description('list providers, the cheapest first')).action(providers)
}

async function providers(flags: ComputeFlags): Promise<void> {
  const found = await listProviders(marketOf(flags).contracts)
  print(found, flags, () =>
    found.length === 0
      ? 'no provider'
      : table(
          ['provider', 'model', 'wei per unit in / out', 'signer attested until', 'url'],
          found.map((provider) => [provider.address, provider.model, prices(provider), standing(provider), provider.url]),
        ),
  )
}

const prices = ({ inputPrice, outputPrice, nextPrice }: Provider): string =>
  `${inputPrice} / ${outputPrice}${nextPrice ? `, ${nextPrice.inputPrice} / ${nextPrice.outputPrice} from ${time(nextPrice.effectiveAt)}` : ''}`

const standing = ({ attestedUntil, acknowledged }: Provider): string =>
  attestedUntil === 0 ? 'not attested' : `${time(attestedUntil)}${acknowledged ? '' : ' (not active)'}`

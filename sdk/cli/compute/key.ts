import { Command, InvalidArgumentError } from 'commander'
import { type KeyLimits, limitKey, revokeKeys } from '../../compute/keys.ts'
import { findProvider } from '../../compute/providers.ts'
import { apiKeyOf, bearerFor } from '../../compute/session.ts'
import { notice, print } from '../output.ts'
import { actorOf, address, type ComputeFlags, coins, withComputeOptions } from './options.ts'

interface CreateFlags extends ComputeFlags, KeyLimits {
  id: number
}

export function keyCommand(): Command {
  const provider = (command: Command) => withComputeOptions(command.argument('<provider>', 'address', address))
  return new Command('key')
    .description('API keys for OpenAI clients, with limits that the chain keeps')
    .addCommand(
      provider(new Command('create').description('make a key, to be used as the API key of any OpenAI client'))
        .requiredOption('--id <n>', 'number of the key, 0 to 254: limits and revocation name it by this', tokenId)
        .option('--cap <coins>', 'what it may spend in all', coins)
        .option('--expires-at <time>', 'when it ends, such as 2027-01-31', seconds)
        .option('--models <names>', 'models it may ask, separated by commas', (names: string) => names.split(','))
        .action(create),
    )
    .addCommand(
      provider(new Command('revoke').description('end keys at once'))
        .option('--id <n>', 'this one only; may be repeated (default: all, sessions included)', (value: string, before: number[] = []) => [
          ...before,
          tokenId(value),
        ])
        .action(revoke),
    )
}

async function create(provider: string, flags: CreateFlags): Promise<void> {
  const { contracts, signer } = await actorOf(flags)
  const { url, model } = await findProvider(contracts, provider)
  const limited = flags.cap !== undefined || flags.expiresAt !== undefined || flags.models !== undefined
  if (limited) await limitKey(contracts, provider, flags.id, flags)
  const expiresAt = flags.expiresAt === undefined ? 0 : flags.expiresAt * 1000
  const apiKey = apiKeyOf(await bearerFor(contracts, provider, signer, { tokenId: flags.id, expiresAt }))
  print({ apiKey, baseURL: `${url}/v1/proxy`, model }, flags, () => apiKey)
  notice(`for an OpenAI client: base URL ${url}/v1/proxy, model ${model}`, flags)
}

async function revoke(provider: string, flags: ComputeFlags & { id?: number[] }): Promise<void> {
  const { contracts } = await actorOf(flags)
  const transaction = await revokeKeys(contracts, provider, flags.id)
  print({ transaction }, flags, () => `revoked in ${transaction}`)
}

function tokenId(value: string): number {
  if (/^\d{1,3}$/.test(value) && Number(value) <= 254) return Number(value)
  throw new InvalidArgumentError('A number from 0 to 254 is expected.')
}

function seconds(value: string): number {
  const at = Date.parse(value)
  if (Number.isNaN(at) || at <= Date.now()) throw new InvalidArgumentError('A time in the future is expected, such as 2027-01-31.')
  return Math.floor(at / 1000)
}

import { text } from 'node:stream/consumers'
import { Command } from 'commander'
import type { JsonRpcProvider } from 'ethers'
import { checkRegistry } from '../../attestation/verify-signer.ts'
import { type Answer, ask } from '../../compute/ask.ts'
import type { ComputeContracts } from '../../compute/contracts.ts'
import { chooseProvider } from '../../compute/providers.ts'
import { defaultAnswerFolder, fetchReceipt, storeAnswer } from '../../compute/receipts.ts'
import { bearerFor } from '../../compute/session.ts'
import { isLocalChain, verifyAnswer } from '../../compute/verify.ts'
import { PerigeeError } from '../../errors.ts'
import { interruptible } from '../options.ts'
import { notice, print } from '../output.ts'
import { actorOf, address, type ComputeFlags, withComputeOptions } from './options.ts'

interface ChatFlags extends ComputeFlags {
  provider?: string
  model?: string
  system?: string
  receipts: string
}

export function chatCommand(): Command {
  return withComputeOptions(
    new Command('chat').description('ask a model; the answer is verified before the command ends').argument('<prompt>', 'what to ask, or - for standard input'),
  )
    .option('--provider <address>', 'ask this one (default: the cheapest attested one)', address)
    .option('--model <name>', 'ask for this model')
    .option('--system <text>', 'system message')
    .option('--receipts <folder>', 'where the signed receipts of answers go', defaultAnswerFolder())
    .action(chat)
}

async function chat(prompt: string, flags: ChatFlags): Promise<void> {
  const { rpc, contracts, signer } = await actorOf(flags)
  const provider = await chooseProvider(contracts, flags)
  await requireTrust(contracts, rpc)
  const user = await signer.getAddress()
  const messages = [
    ...(flags.system ? [{ role: 'system', content: flags.system }] : []),
    { role: 'user', content: prompt === '-' ? await text(process.stdin) : prompt },
  ]
  const bearer = await bearerFor(contracts, provider.address, signer)
  const answer: Answer = await ask(
    provider,
    { messages, stream: true, ...(flags.model && { model: flags.model }) },
    { user, bearer, signal: interruptible(), ...(!flags.json && { onText: (piece) => process.stdout.write(piece) }) },
  )
  const signed = await fetchReceipt(answer.url, answer.id)
  const stored = await storeAnswer(flags.receipts, answer, signed)
  const verdict = await verifyAnswer(contracts, rpc, answer, signed)
  const { id, content, usage } = answer
  print({ id, provider: provider.address, content, usage, fee: signed.receipt.fee, receipt: stored, verdict }, flags, () => '')
  if (!verdict.ok) {
    throw new PerigeeError('VERIFICATION_FAILED', 'the answer is not what its receipt says', {
      details: verdict.checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`),
      wayOut: `The receipt is kept in ${stored}: it can convict the provider.`,
    })
  }
  notice(`verified · ${provider.address} · ${signed.receipt.fee} wei · ${stored}`, flags)
}

/** Before anything is sent: a registry that takes simulated evidence proves nothing, and counts on this machine only. */
async function requireTrust({ registry }: ComputeContracts, rpc: JsonRpcProvider): Promise<void> {
  const { chainId } = await rpc.getNetwork()
  const { check } = await checkRegistry(registry, { allowDevelopment: isLocalChain(chainId) })
  if (!check.ok) throw new PerigeeError('VERIFICATION_FAILED', `the attestation of this network is not to be believed: ${check.name}: ${check.detail}`)
}

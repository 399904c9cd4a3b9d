import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import type { JsonRpcProvider } from 'ethers'
import { simulatedSource } from '../../attestation/collateral-source.ts'
import { pcsSource } from '../../attestation/pcs.ts'
import { verifySigner } from '../../attestation/verify-signer.ts'
import type { ComputeContracts } from '../../compute/contracts.ts'
import { defaultAnswerFolder, readAnswer, type StoredAnswer } from '../../compute/receipts.ts'
import { type Check, isLocalChain, verifyAnswer } from '../../compute/verify.ts'
import { PerigeeError } from '../../errors.ts'
import type { Network } from '../../network.ts'
import { print } from '../output.ts'
import { type ComputeFlags, marketOf, withComputeOptions } from './options.ts'

interface VerifyFlags extends ComputeFlags {
  receipts: string
  quote?: boolean
}

export function verifyCommand(): Command {
  return withComputeOptions(
    new Command('verify')
      .description('check an answer again: its hashes, its receipt, and the attestation of the key that signed')
      .argument('<answer>', 'its id, or the path of a stored answer'),
  )
    .option('--receipts <folder>', 'where answers are stored', defaultAnswerFolder())
    .option('--quote', "fetch the provider's quote, and check it here up to Intel's root instead of taking the chain's word for it")
    .action(verify)
}

async function verify(which: string, flags: VerifyFlags): Promise<void> {
  const { network, rpc, contracts } = marketOf(flags)
  const answer = await readAnswer(existsSync(which) ? which : join(flags.receipts, `${encodeURIComponent(which)}.json`))
  const { checks } = await verifyAnswer(contracts, rpc, answer, answer.signed)
  if (flags.quote) checks.push(...(await quoteChecks(network, rpc, contracts, answer)))
  const ok = checks.every((check) => check.ok)
  print({ ok, checks }, flags, () => checks.map((check) => `${check.ok ? '✔' : '✘'} ${check.name}: ${check.detail}`).join('\n'))
  if (!ok) throw new PerigeeError('VERIFICATION_FAILED', 'the answer is not what its receipt says')
}

/** Every check of the quote by which the provider's present signer was admitted. */
async function quoteChecks(network: Network, rpc: JsonRpcProvider, { registry, inference }: ComputeContracts, { provider }: StoredAnswer): Promise<Check[]> {
  const [{ chainId }, { url, teeSignerAddress }] = await Promise.all([rpc.getNetwork(), inference.getService(provider)])
  const now = async () => new Date((await rpc.getBlock('latest'))!.timestamp * 1000)
  const local = isLocalChain(chainId) && network.file !== undefined
  const source = local ? simulatedSource(join(dirname(network.file!), 'tee', 'pki.json'), now) : pcsSource()
  const verdict = await verifySigner({
    signer: teeSignerAddress,
    registry: await registry.getAddress(),
    provider: rpc,
    allowDevelopment: isLocalChain(chainId),
    evidence: { url, source },
  })
  return [...verdict.checks, ...(verdict.quote?.checks ?? [])]
}

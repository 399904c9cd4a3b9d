import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { defaultAnswerFolder, readAnswer } from '../../compute/receipts.ts'
import { verifyAnswer } from '../../compute/verify.ts'
import { PerigeeError } from '../../errors.ts'
import { print } from '../output.ts'
import { type ComputeFlags, marketOf, withComputeOptions } from './options.ts'

interface VerifyFlags extends ComputeFlags {
  receipts: string
}

export function verifyCommand(): Command {
  return withComputeOptions(
    new Command('verify')
      .description('check an answer again: its hashes, its receipt, and the attestation of the key that signed')
      .argument('<answer>', 'its id, or the path of a stored answer'),
  )
    .option('--receipts <folder>', 'where answers are stored', defaultAnswerFolder())
    .action(verify)
}

async function verify(which: string, flags: VerifyFlags): Promise<void> {
  const { rpc, contracts } = marketOf(flags)
  const answer = await readAnswer(existsSync(which) ? which : join(flags.receipts, `${encodeURIComponent(which)}.json`))
  const verdict = await verifyAnswer(contracts, rpc, answer, answer.signed)
  print(verdict, flags, () => verdict.checks.map(({ name, ok, detail }) => `${ok ? '✔' : '✘'} ${name.padEnd(12)} ${detail}`).join('\n'))
  if (!verdict.ok) throw new PerigeeError('VERIFICATION_FAILED', 'the answer is not what its receipt says')
}

import { formatEther, type JsonRpcProvider, parseEther, Wallet } from 'ethers'
import { ask } from '../sdk/compute/ask.ts'
import { connectCompute } from '../sdk/compute/contracts.ts'
import { balanceOf, deposit, fund } from '../sdk/compute/ledger.ts'
import { chooseProvider } from '../sdk/compute/providers.ts'
import { fetchReceipt } from '../sdk/compute/receipts.ts'
import { bearerFor } from '../sdk/compute/session.ts'
import { verifyAnswer } from '../sdk/compute/verify.ts'
import type { DevnetFile } from './devnet-file.ts'
import { say, step } from './progress.ts'
import { until } from './tour-steps.ts'

/** The development account that asks, and what it puts in when it has less than a fifth of it. */
const USER = 6
const DEPOSIT = parseEther('5')

const QUESTION = `Summarise: A keeper can be killed at any instant and started again. It resumes from its cursor, repeats nothing that costs money, and loses nothing it
acknowledged. The chain is the truth, and the database is only a cursor into it. Reorganisations roll the cursor back.`

/** A question to an attested provider: paid from a deposit, answered, verified against the chain, and settled. */
export async function computeTour({ chain, contracts }: DevnetFile, rpc: JsonRpcProvider): Promise<void> {
  const signer = new Wallet(chain.accounts[USER]!.privateKey, rpc)
  const market = connectCompute(contracts, signer)
  say('\nCompute: a question is asked, its answer verified against the chain, and the provider paid.')

  const provider = await step('the cheapest provider whose enclave the chain has verified', () => chooseProvider(market, {}))
  say(
    `    ${provider.address} serves ${provider.model}; its signer ${provider.signer} is attested until ${new Date(provider.attestedUntil * 1000).toISOString()}`,
  )
  const account = (await balanceOf(market, signer.address)).accounts.find(({ provider: at }) => at === provider.address)
  if ((account?.balance ?? 0n) < DEPOSIT / 5n) {
    await step(`${formatEther(DEPOSIT)} coins deposited, and made spendable there`, async () => {
      await deposit(market, DEPOSIT)
      await fund(market, provider.address, DEPOSIT)
    })
  }

  const answer = await step('an answer', async () => {
    const bearer = await bearerFor(market, provider.address, signer)
    return ask(provider, { messages: [{ role: 'user', content: QUESTION }] }, { user: signer.address, bearer })
  })
  say(`    "${answer.content.trim().replaceAll(/\s+/g, ' ').slice(0, 140)}"`)
  const signed = await step('its receipt, and every check of it', async () => {
    const receipt = await fetchReceipt(answer.url, answer.id)
    const { ok, checks } = await verifyAnswer(market, rpc, answer, receipt)
    const failed = checks.filter((check) => !check.ok).map(({ name, detail }) => `${name}: ${detail}`)
    if (!ok) throw new Error(`the answer does not verify: ${failed.join('; ')}`)
    return receipt
  })
  say(
    `    ${signed.receipt.inputUnits} + ${signed.receipt.outputUnits} tokens for ${formatEther(signed.receipt.fee)} coins; both bodies hash to what the enclave signed`,
  )
  const batch = await step('settled on chain, with one signature for the batch', () =>
    until(async () => {
      const { batch } = await fetchReceipt(answer.url, answer.id)
      return batch && batch.nonce <= (await market.inference.lastNonce(provider.address)) ? batch : undefined
    }, 'the provider did not settle'),
  )
  say(`    batch ${batch.nonce}: ${batch.items.length} item, receipts under root ${batch.requestsHash}`)
}

import { type Provider as RpcProvider, verifyMessage, ZeroAddress } from 'ethers'
import { domainSeparator, feeOf, idHash, inferenceDomain, modelHash, receiptDigest } from '../../protocol/compute/receipt.ts'
import { receiptText } from '../../protocol/compute/receipt-text.ts'
import { advertisedRule, ruleName, unitsOf, unitsRuleHash } from '../../protocol/compute/units.ts'
import { checkRegistry } from '../attestation/verify-signer.ts'
import type { Usage } from './ask.ts'
import type { ComputeContracts } from './contracts.ts'
import type { SignedReceipt, StoredAnswer } from './receipts.ts'

/** One thing that was looked at, and what was found. */
export interface Check {
  name: string
  ok: boolean
  detail: string
}

export interface AnswerVerdict {
  ok: boolean
  checks: Check[]
}

/** What of an answer is compared: its bytes count by their hashes, which the client made itself from what it sent and received. */
export type AnswerFacts = Omit<StoredAnswer, 'signed'>

/**
 * Checks an answer against its receipt and both against the chain: that the bytes are those the enclave hashed, that it was this user's
 * question to this provider, that the fee follows from the price, and that the chain vouches for the key that signed.
 */
export async function verifyAnswer(
  { inference, registry }: Pick<ComputeContracts, 'inference' | 'registry'>,
  rpc: RpcProvider,
  answer: AnswerFacts,
  { receipt, signature }: SignedReceipt,
): Promise<AnswerVerdict> {
  const [{ chainId }, contract] = await Promise.all([rpc.getNetwork(), inference.getAddress()])
  const receiptHash = receiptDigest(domainSeparator(inferenceDomain(chainId, contract)), receipt)
  const signer = recovered(receiptText({ requestHash: receipt.requestHash, responseHash: receipt.responseHash, receiptHash }), signature)
  const [additionalInfo, price, until, attestedUntil, trust] = await Promise.all([
    inference.serviceExists(receipt.provider).then(async (exists) => (exists ? (await inference.getService(receipt.provider)).additionalInfo : undefined)),
    inference.priceOf(receipt.provider, receipt.priceVersion),
    inference.signerUntil(receipt.provider, signer),
    registry.attestedUntil(signer),
    checkRegistry(registry, { allowDevelopment: isLocalChain(chainId) }),
  ])
  const checks = [
    same('id', receipt.id, idHash(answer.id)),
    same('request', receipt.requestHash, answer.requestHash),
    same('response', receipt.responseHash, answer.responseHash),
    same('provider', receipt.provider, answer.provider),
    same('user', receipt.user, answer.user),
    same('model', receipt.modelHash, modelHash(answer.model)),
    unitsCheck(receipt, answer.usage, additionalInfo),
    check(
      'price',
      price.effectiveAt > 0n && price.effectiveAt <= BigInt(receipt.createdAt),
      `version ${receipt.priceVersion}, in force from ${time(price.effectiveAt)}`,
    ),
    check('fee', feeOf(receipt, price) === receipt.fee, `${receipt.fee} wei for ${receipt.inputUnits} + ${receipt.outputUnits} units`),
    check('signer', until >= BigInt(receipt.createdAt), until > 0n ? `${signer} signs for this provider` : `${signer} never signed for this provider`),
    check(
      'attestation',
      attestedUntil >= BigInt(receipt.createdAt),
      attestedUntil > 0n ? `registered until ${time(attestedUntil)}` : 'the registry does not vouch for this key',
    ),
    trust.check,
  ]
  return { ok: checks.every(({ ok }) => ok), checks }
}

function recovered(text: string, signature: string): string {
  try {
    return verifyMessage(text, signature)
  } catch {
    return ZeroAddress
  }
}

/** The units must follow from the usage that the response itself states, by the rule that the service advertises. */
function unitsCheck({ unitsRule, inputUnits, outputUnits }: SignedReceipt['receipt'], usage: Usage | undefined, additionalInfo: string | undefined): Check {
  if (additionalInfo === undefined) return check('units', true, `${inputUnits} + ${outputUnits}; the service is gone, and with it the rule it advertised`)
  const rule = advertisedRule(JSON.parse(additionalInfo || '{}'))
  if (unitsRule !== unitsRuleHash(ruleName(rule))) return check('units', false, `counted by another rule than the service advertises, ${ruleName(rule)}`)
  if (!usage) return check('units', true, `${inputUnits} + ${outputUnits} by ${ruleName(rule)}; the response states no usage to compare`)
  const expected = unitsOf(rule, {
    kind: 'tokens',
    promptTokens: usage.prompt_tokens,
    completionTokens: usage.completion_tokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
  })
  // Never more than the response states; less where the provider had set less aside.
  const ok = inputUnits <= expected.inputUnits && outputUnits <= expected.outputUnits
  return check('units', ok, `${inputUnits} + ${outputUnits}${ok ? '' : ` instead of ${expected.inputUnits} + ${expected.outputUnits}`} by ${ruleName(rule)}`)
}

/** Chains that exist on one machine only: what is simulated counts there. */
export const isLocalChain = (chainId: bigint): boolean => chainId === 31337n || chainId === 1337n

const check = (name: string, ok: boolean, detail: string): Check => ({ name, ok, detail })

const same = (name: string, found: string, expected: string): Check =>
  check(name, found.toLowerCase() === expected.toLowerCase(), found.toLowerCase() === expected.toLowerCase() ? found : `${found} instead of ${expected}`)

const time = (seconds: bigint): string => new Date(Number(seconds) * 1000).toISOString()

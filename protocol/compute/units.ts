import { id } from 'ethers'
import { z } from 'zod'
import { MAX_UNITS, type Receipt } from './receipt.ts'

/** What a backend reports of one answer. */
export type Usage =
  | { kind: 'tokens'; promptTokens: number; completionTokens: number /** Of the prompt, read from a cache. */; cachedTokens: number }
  | { kind: 'images'; images: number }
  | { kind: 'seconds'; seconds: number }

/** A price tier: prompts of up to `maxInputTokens` (0 = of any length) cost this many times more, as fractions. */
export interface Tier {
  maxInputTokens: number
  input: readonly [numerator: number, denominator: number]
  output: readonly [numerator: number, denominator: number]
}

/**
 * How usage becomes the units that are charged for. The rule's name holds its parameters, and its hash is in the receipt:
 *
 *   tokens/1                                 one unit a token
 *   tokens/1;cache=4                         cached prompt tokens count a fourth
 *   tokens/1;tiers=32000:1/1:1/1,0:3/2:2/1   a prompt of more than 32,000 tokens costs 1.5 times, its answer twice as much
 *   images/1                                 one input unit an image
 *   seconds/1                                one input unit a second, rounded, at least one
 *
 * A fraction of a unit is not charged.
 */
export type UnitsRule = { kind: 'tokens'; cacheDivisor?: number | undefined; tiers?: readonly Tier[] | undefined } | { kind: 'images' } | { kind: 'seconds' }

export type Units = Pick<Receipt, 'inputUnits' | 'outputUnits'>

/** The name of a rule is not one, or usage does not fit the rule. */
export class UnitsError extends Error {
  override readonly name = 'UnitsError'
}

export const TOKENS: UnitsRule = { kind: 'tokens' }

/** The name of a rule; the same rule has one name only. */
export function ruleName(rule: UnitsRule): string {
  if (rule.kind !== 'tokens') return `${rule.kind}/1`
  const cache = rule.cacheDivisor === undefined || rule.cacheDivisor === 1 ? '' : `;cache=${rule.cacheDivisor}`
  const tiers = rule.tiers?.length
    ? `;tiers=${rule.tiers.map(({ maxInputTokens, input, output }) => `${maxInputTokens}:${input.join('/')}:${output.join('/')}`).join(',')}`
    : ''
  return `tokens/1${cache}${tiers}`
}

/** As it stands in a receipt. */
export const unitsRuleHash = (name: string): string => id(name)

/** @throws UnitsError for what is not the name of a rule */
export function parseRule(name: string): UnitsRule {
  if (name === 'images/1') return { kind: 'images' }
  if (name === 'seconds/1') return { kind: 'seconds' }
  const parts = /^tokens\/1(?:;cache=([1-9][0-9]{0,8}))?(?:;tiers=([0-9:/,]+))?$/.exec(name)
  if (!parts) throw new UnitsError(`"${name}" is not the name of a rule for units`)
  const tiers = parts[2]?.split(',').map((tier) => {
    const numbers = /^([0-9]{1,9}):([1-9][0-9]{0,8})\/([1-9][0-9]{0,8}):([1-9][0-9]{0,8})\/([1-9][0-9]{0,8})$/.exec(tier)?.slice(1).map(Number)
    if (!numbers) throw new UnitsError(`"${tier}" is not a tier: expected tokens:numerator/denominator:numerator/denominator`)
    const [maxInputTokens, a, b, c, d] = numbers as [number, number, number, number, number]
    return { maxInputTokens, input: [a, b], output: [c, d] } as const
  })
  const rule: UnitsRule = { kind: 'tokens', ...(parts[1] !== undefined && { cacheDivisor: Number(parts[1]) }), ...(tiers && { tiers }) }
  if (tiers?.some(({ maxInputTokens }, i) => (maxInputTokens === 0 ? i !== tiers.length - 1 : i > 0 && maxInputTokens <= tiers[i - 1]!.maxInputTokens))) {
    throw new UnitsError(`the tiers of "${name}" do not ascend: the one without bound (0) comes last`)
  }
  if (ruleName(rule) !== name) throw new UnitsError(`"${name}" is written "${ruleName(rule)}"`)
  return rule
}

const positive = z.int().positive()
const advertised = z.object({
  cacheTokenBilling: z.object({ divisor: positive }).optional(),
  tieredPricing: z
    .object({
      tiers: z.array(
        z.object({
          maxInputTokens: z.int().min(0),
          inputMultiplier: positive,
          inputMultiplierDenominator: positive.optional(),
          outputMultiplier: positive,
          outputMultiplierDenominator: positive.optional(),
        }),
      ),
    })
    .optional(),
})

/** The rule that a service's `additionalInfo` (JSON) advertises to the public SDK; plain tokens if it says nothing. @throws ZodError */
export function advertisedRule(additionalInfo: unknown): UnitsRule {
  const { cacheTokenBilling, tieredPricing } = advertised.parse(additionalInfo)
  const tiers = tieredPricing?.tiers.map((tier) => ({
    maxInputTokens: tier.maxInputTokens,
    input: [tier.inputMultiplier, tier.inputMultiplierDenominator ?? 1] as const,
    output: [tier.outputMultiplier, tier.outputMultiplierDenominator ?? 1] as const,
  }))
  return parseRule(ruleName({ kind: 'tokens', cacheDivisor: cacheTokenBilling?.divisor, tiers }))
}

/** The units that `usage` is charged as. @throws UnitsError when it is not of the rule's kind, not a count, or too much for a receipt */
export function unitsOf(rule: UnitsRule, usage: Usage): Units {
  const units = fold(rule, usage)
  if (units.inputUnits > MAX_UNITS || units.outputUnits > MAX_UNITS) throw new UnitsError('the usage is more than a receipt can hold')
  return units
}

function fold(rule: UnitsRule, usage: Usage): Units {
  if (rule.kind === 'images' && usage.kind === 'images') return { inputUnits: count(usage.images, 'images'), outputUnits: 0n }
  if (rule.kind === 'seconds' && usage.kind === 'seconds') {
    if (!Number.isFinite(usage.seconds) || usage.seconds < 0) throw new UnitsError(`${usage.seconds} seconds are not a duration`)
    return { inputUnits: BigInt(usage.seconds === 0 ? 0 : Math.max(Math.round(usage.seconds), 1)), outputUnits: 0n }
  }
  if (rule.kind !== 'tokens' || usage.kind !== 'tokens') throw new UnitsError(`usage in ${usage.kind} can't be charged by ${ruleName(rule)}`)
  const prompt = count(usage.promptTokens, 'prompt tokens')
  const cached = count(usage.cachedTokens, 'cached tokens')
  const completion = count(usage.completionTokens, 'completion tokens')
  if (cached > prompt) throw new UnitsError(`${cached} cached tokens of a prompt of ${prompt}`)
  const divisor = BigInt(rule.cacheDivisor ?? 1)
  const tier = tierOf(rule.tiers ?? [], usage.promptTokens)
  const [inputOver, inputUnder] = tier?.input ?? [1, 1]
  const [outputOver, outputUnder] = tier?.output ?? [1, 1]
  return {
    inputUnits: (((prompt - cached) * divisor + cached) * BigInt(inputOver)) / (divisor * BigInt(inputUnder)),
    outputUnits: (completion * BigInt(outputOver)) / BigInt(outputUnder),
  }
}

/** The first tier that holds the prompt; beyond all of them, the last. */
function tierOf(tiers: readonly Tier[], promptTokens: number): Tier | undefined {
  return tiers.find(({ maxInputTokens }) => maxInputTokens === 0 || promptTokens <= maxInputTokens) ?? tiers.at(-1)
}

function count(value: number, what: string): bigint {
  if (!Number.isSafeInteger(value) || value < 0) throw new UnitsError(`${value} is not a number of ${what}`)
  return BigInt(value)
}

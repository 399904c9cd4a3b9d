import type { Health } from './health.ts'

/** A provider as the chain and the provider itself describe it. */
export interface Provider {
  address: string
  url: string
  /** What it says it serves; empty while it does not answer. */
  models: readonly string[]
  /** wei a unit */
  inputPrice: bigint
  outputPrice: bigint
  signer: string
  /** Unix seconds; 0 if it is not. */
  attestedUntil: number
  /** The chain says that its signer is attested and its stake is there. */
  acknowledged: boolean
  /** Wei that this gateway's account can spend there; undefined without a sub-account. */
  free: bigint | undefined
  /** How often that account has revoked all its keys. */
  generation: number
  /** Why it does not answer, or undefined when it does. */
  problem: string | undefined
}

export interface Criteria {
  model: string
  /** Of the request, roughly. */
  inputUnits: number
  outputUnits: number
  maxInputPrice?: bigint | undefined
  maxOutputPrice?: bigint | undefined
  /** 0 only price … 1 only latency. */
  latencyWeight: number
  /** Unix seconds. */
  time: number
  /** Monotonic clock, ms. */
  now: number
}

export interface Candidate {
  provider: Provider
  /** Lower is better: price and latency in multiples of the best one's. */
  score: number
  /** wei, what the request would cost there, roughly. */
  expectedFee: bigint
  latencyMs: number | undefined
  /** Failed a moment ago: comes after all that did not. */
  resting: boolean
}

export interface Ranking {
  /** The best first. */
  candidates: Candidate[]
  passedOver: { provider: string; reason: string }[]
}

/** Puts the providers that can serve a request in the order in which they are to be tried, and says why the others can't. */
export function rank(providers: readonly Provider[], healthOf: (address: string) => Health, criteria: Criteria): Ranking {
  const passedOver: Ranking['passedOver'] = []
  const candidates: Candidate[] = []
  for (const provider of providers) {
    const reason = obstacle(provider, criteria)
    const health = healthOf(provider.address)
    if (reason !== undefined) passedOver.push({ provider: provider.address, reason })
    else
      candidates.push({
        provider,
        score: 0,
        expectedFee: expectedFee(provider, criteria),
        latencyMs: health.latencyMs,
        resting: health.restsUntil > criteria.now,
      })
  }
  const cheapest = Math.min(...candidates.map(({ expectedFee }) => Number(expectedFee)))
  const fastest = Math.min(...candidates.flatMap(({ latencyMs }) => latencyMs ?? []))
  for (const candidate of candidates) {
    const price = multiple(Number(candidate.expectedFee), cheapest)
    // One that was never measured is given the chance to be.
    const latency = candidate.latencyMs === undefined ? 1 : multiple(candidate.latencyMs, fastest)
    candidate.score = (1 - criteria.latencyWeight) * price + criteria.latencyWeight * latency
  }
  // Equal scores go by address, so that the same facts give the same order.
  candidates.sort((a, b) => Number(a.resting) - Number(b.resting) || a.score - b.score || (a.provider.address < b.provider.address ? -1 : 1))
  return { candidates, passedOver }
}

/** Where the best is free, or answers at once, every other is as many times worse as it has of it. */
const multiple = (value: number, best: number): number => (best > 0 ? value / best : 1 + value)

function expectedFee({ inputPrice, outputPrice }: Provider, { inputUnits, outputUnits }: Criteria): bigint {
  return BigInt(inputUnits) * inputPrice + BigInt(outputUnits) * outputPrice
}

function obstacle(provider: Provider, { model, maxInputPrice, maxOutputPrice, time }: Criteria): string | undefined {
  const { problem, models, inputPrice, outputPrice, attestedUntil, acknowledged, free } = provider
  if (problem !== undefined) return problem
  if (!models.includes(model)) return `it does not serve ${model}`
  if (attestedUntil === 0) return 'its signer is not attested'
  if (attestedUntil <= time) return `the attestation of its signer ended at ${new Date(attestedUntil * 1000).toISOString()}`
  if (!acknowledged) return 'its stake is gone'
  if (maxInputPrice !== undefined && inputPrice > maxInputPrice) return `it takes ${inputPrice} wei a unit of input, more than ${maxInputPrice}`
  if (maxOutputPrice !== undefined && outputPrice > maxOutputPrice) return `it takes ${outputPrice} wei a unit of output, more than ${maxOutputPrice}`
  if (free === undefined) return 'there is no sub-account at it: transfer funds to it'
  if (free === 0n && inputPrice + outputPrice > 0n) return 'the sub-account at it is empty: transfer funds to it'
  return undefined
}

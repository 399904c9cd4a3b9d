/** log2 of n!, by n; enough for the largest code. */
const LOG_FACTORIAL = new Float64Array(65_537)
for (let n = 1; n < LOG_FACTORIAL.length; n++) LOG_FACTORIAL[n] = LOG_FACTORIAL[n - 1]! + Math.log2(n)

/** log2 of C(n, k), for n ≤ 65,536. */
export function log2Choose(n: number, k: number): number {
  return k < 0 || k > n ? Number.NEGATIVE_INFINITY : LOG_FACTORIAL[n]! - LOG_FACTORIAL[k]! - LOG_FACTORIAL[n - k]!
}

/** log2 of the probability that `drawn` distinct rows of `total`, at random, are all among the `good` ones: C(good, drawn)/C(total, drawn). */
export const log2AllGood = (total: number, good: number, drawn: number): number => log2Choose(good, drawn) - log2Choose(total, drawn)

/**
 * log2 of the probability that a signer accepts although fewer than T − e rows of the blob are valid, e = ⌊(T − K)/2⌋. A signer with K rows decodes
 * all of it and cannot err: −∞.
 */
export function log2WronglyAccepts(k: number, rows: number): number {
  const t = 4 * k
  return rows >= k ? Number.NEGATIVE_INFINITY : log2AllGood(t, t - Math.floor((t - k) / 2), rows)
}

/** log2 of the probability that a binomial variable is at least `least`. */
export function log2AtLeast(trials: number, probability: number, least: number): number {
  const terms: number[] = []
  for (let n = Math.max(0, least); n <= trials; n++) terms.push(log2Choose(trials, n) + n * Math.log2(probability) + (trials - n) * Math.log2(1 - probability))
  const largest = Math.max(...terms)
  return terms.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(0, largest + Math.log2(terms.reduce((sum, term) => sum + 2 ** (term - largest), 0)))
}

/**
 * Puts signers in random order, those with more weight sooner: each next one is drawn with chances as the weights of those left. So readers go to whom most
 * of the rows are with, and a committee of which hundreds of small members are away is not searched through for the few that are there. (Efraimidis and
 * Spirakis 2006: the order of exponential times with the weights as rates.)
 */
export function byWeight<T>(items: readonly T[], weightOf: (item: T) => bigint): T[] {
  return items
    .map((item) => ({ item, time: -Math.log1p(-Math.random()) / Number(weightOf(item)) }))
    .sort((a, b) => a.time - b.time)
    .map(({ item }) => item)
}

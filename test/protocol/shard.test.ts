import { expect } from 'chai'
import fc from 'fast-check'
import { coverOf, isValidShard, type Shard } from '../../protocol/storage/shard.ts'

const shard = (text: string): Shard => {
  const [shardId, numShard] = text.split('/').map(Number)
  return { shardId: shardId!, numShard: numShard! }
}
const nodes = (...shards: string[]) => shards.map((text) => ({ config: shard(text) }))
const names = (chosen: { config: Shard }[] | undefined) => chosen?.map(({ config }) => `${config.shardId}/${config.numShard}`)

describe('Shards', () => {
  it('are powers of two', () => {
    for (const text of ['0/1', '1/2', '7/8', '1073741823/1073741824']) expect(isValidShard(shard(text)), text).to.equal(true)
    for (const text of ['1/1', '0/0', '0/3', '-1/2', '0.5/2', '4/4', 'NaN/2', '0/-2', '0/Infinity']) expect(isValidShard(shard(text)), text).to.equal(false)
  })

  it('are covered by as few nodes as keep everything', () => {
    expect(names(coverOf(nodes('0/1')))).to.deep.equal(['0/1'])
    expect(names(coverOf(nodes('0/2', '1/2', '0/1', '0/1')))).to.deep.equal(['0/1'])
    expect(names(coverOf(nodes('3/4', '1/4', '0/2', '0/2', '1/4')))).to.deep.equal(['0/2', '1/4', '3/4'])
    expect(names(coverOf(nodes('0/2', '2/4', '1/2')))).to.deep.equal(['0/2', '1/2'])
  })

  it('are not covered where a part is missing or invalid', () => {
    for (const given of [[], ['0/2'], ['0/2', '1/4'], ['0/2', '0/2'], ['1/1'], ['0/2', '2/2']]) expect(coverOf(nodes(...given)), `${given}`).to.equal(undefined)
  })

  it('are covered exactly when every load has a keeper, and then without a node too many', () => {
    const anyShard = fc.integer({ min: 0, max: 4 }).chain((level) => fc.nat(2 ** level - 1).map((shardId) => ({ config: { shardId, numShard: 2 ** level } })))
    const keepsAll = (chosen: { config: Shard }[]) =>
      [...Array(16).keys()].every((load) => chosen.some(({ config }) => load % config.numShard === config.shardId))
    fc.assert(
      fc.property(fc.array(anyShard, { maxLength: 24 }), (given) => {
        const chosen = coverOf(given)
        expect(chosen !== undefined).to.equal(keepsAll(given))
        for (const left of chosen ?? []) expect(keepsAll(chosen!.filter((other) => other !== left))).to.equal(false)
      }),
      { seed: 8, numRuns: 1000 },
    )
  })
})

import { expect } from 'chai'
import type { Endpoint, Model } from '../../../keepers/compute/provider/backends/backend.ts'
import { bounded, mostUnits } from '../../../keepers/compute/provider/limits.ts'
import { TOKENS, type UnitsRule } from '../../../protocol/compute/units.ts'

const options = { defaultMaxTokens: 4096, defaultContext: 131_072 }
const spec = { weights: 'w', tokenizer: 't', template: 't', engine: 'e', dtype: 'd' }
const endpoints: Endpoint[] = ['chat/completions', 'completions', 'embeddings']

function most(
  json: Record<string, unknown>,
  { model = {}, endpoint = 'chat/completions', rule = TOKENS }: { model?: Partial<Model>; endpoint?: Endpoint; rule?: UnitsRule } = {},
) {
  const { inputUnits, outputUnits } = mostUnits({ endpoint, json, bytes: 1000, model: { id: 'm', endpoints, spec, ...model }, rule }, options)
  return [inputUnits, outputUnits]
}

describe('the most an answer may cost', () => {
  it('counts a token for every byte of the request, and for what a template adds', () => expect(most({ max_tokens: 7 })).to.deep.equal([1256n, 7n]))
  it('counts no more input than the model has context', () => expect(most({ max_tokens: 7 }, { model: { contextLength: 512 } })).to.deep.equal([512n, 7n]))
  it('takes the newer name of the limit before the older', () => expect(most({ max_tokens: 7, max_completion_tokens: 9 })[1]).to.equal(9n))
  it('takes the limit of the model where the request names none', () => expect(most({}, { model: { maxCompletionTokens: 100 } })[1]).to.equal(100n))
  it('takes the limit of the model where the request names a higher one', () =>
    expect(most({ max_tokens: 1_000_000 }, { model: { maxCompletionTokens: 100 } })[1]).to.equal(100n))
  it('takes the configured limit where neither names one', () => expect(most({})[1]).to.equal(4096n))
  it('multiplies by the number of choices', () => expect(most({ max_tokens: 7, n: 3 })[1]).to.equal(21n))
  it('multiplies by the best of several', () => expect(most({ max_tokens: 7, n: 1, best_of: 5 }, { endpoint: 'completions' })[1]).to.equal(35n))
  it('multiplies by the prompts of a completion', () => expect(most({ max_tokens: 7, prompt: ['a', 'b'] }, { endpoint: 'completions' })[1]).to.equal(14n))
  it('takes a list of tokens for one prompt', () => expect(most({ max_tokens: 7, prompt: [1, 2, 3] }, { endpoint: 'completions' })[1]).to.equal(7n))
  it('counts no output of embeddings', () => expect(most({ input: 'x' }, { endpoint: 'embeddings' })[1]).to.equal(0n))
  it('counts the whole context for an image, which its URL does not bound', () => {
    const messages = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://example.org/x.png' } }] }]
    expect(most({ messages }, { model: { contextLength: 8192 } })[0]).to.equal(8192n)
    expect(most({ messages })[0]).to.equal(131_072n)
  })
  it('follows the rule of the service', () => {
    const rule: UnitsRule = { kind: 'tokens', tiers: [{ maxInputTokens: 0, input: [2, 1], output: [3, 1] }] }
    expect(most({ max_tokens: 7 }, { rule })).to.deep.equal([2512n, 21n])
  })
  for (const bad of [-1, 1.5, '7', 2 ** 30, {}]) {
    it(`refuses max_tokens ${JSON.stringify(bad)}`, () => expect(() => most({ max_tokens: bad })).to.throw(/max_tokens is .*: expected a number/))
  }
  it('bounds what is charged by what was set aside', () => {
    const bounds = { inputUnits: 10n, outputUnits: 10n }
    expect(bounded({ inputUnits: 11n, outputUnits: 9n }, bounds)).to.deep.equal({ inputUnits: 10n, outputUnits: 9n })
    expect(bounded({ inputUnits: 9n, outputUnits: 11n }, bounds)).to.deep.equal({ inputUnits: 9n, outputUnits: 10n })
  })
})

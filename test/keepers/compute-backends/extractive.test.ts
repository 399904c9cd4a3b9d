import { expect } from 'chai'
import fc from 'fast-check'
import { createExtractive, EMBEDDER, SUMMARISER } from '../../../keepers/compute/provider/backends/extractive.ts'
import { countTokens, extract, sentencesOf, tokensOf } from '../../../keepers/compute/provider/backends/extractive-text.ts'
import { embed } from '../../../keepers/compute/provider/backends/ngram-embedding.ts'
import { specHash } from '../../../protocol/compute/spec.ts'
import { chunksOf, faultOf, never, requestOf, textOf } from './requests.ts'

const ARTICLE = `The lighthouse on the northern cape was built in 1874 by order of the harbour board.
Its lamp burns whale oil no longer. Since 1932 the lighthouse has been lit by electricity from the village.
Visitors climb 212 steps to the lamp of the lighthouse, e.g. on Sundays. Tea is sold below.
The harbour board still pays the keeper of the lighthouse. Storms broke the windows twice.
In 1987 the lighthouse was listed as a monument, and the harbour board restored its lamp.`

const backend = createExtractive()
const ask = (body: Record<string, unknown>, endpoint: 'chat/completions' | 'completions' | 'embeddings' = 'chat/completions') =>
  backend.complete(requestOf({ model: endpoint === 'embeddings' ? EMBEDDER : SUMMARISER, ...body }, { endpoint }), never)
const user = (content: unknown) => ({ messages: [{ role: 'user', content }] })
const answerOf = async (body: Record<string, unknown>) => JSON.parse(await textOf(await ask(body)))

describe('extractive backend', () => {
  it('given a text, when it is asked, then it answers with sentences of it that say most, in their order', async () => {
    const answer = await answerOf(user(ARTICLE))
    const { content } = answer.choices[0].message
    const picked = sentencesOf(content)
    const all = sentencesOf(ARTICLE)
    expect(picked.map((sentence) => all.indexOf(sentence))).to.deep.equal([...picked.map((sentence) => all.indexOf(sentence))].sort((a, b) => a - b))
    expect(all).to.include.members(picked)
    expect(picked).to.have.length(3)
    expect(content).to.contain('lighthouse').and.to.not.contain('Tea is sold')
    expect(answer).to.include({ object: 'chat.completion', model: SUMMARISER })
    expect(answer.choices[0].finish_reason).to.equal('stop')
    expect(answer.usage).to.deep.equal({
      prompt_tokens: countTokens(ARTICLE),
      completion_tokens: countTokens(content),
      total_tokens: countTokens(ARTICLE + content),
    })
  })

  it('given a short question after a text, when it is asked, then it answers with what the text says of it', async () => {
    const messages = [
      { role: 'system', content: 'You keep a lighthouse. Answer about storms.' },
      { role: 'user', content: ARTICLE },
      { role: 'user', content: 'How many steps do visitors climb?' },
    ]
    const { content } = (await answerOf({ messages, max_tokens: 30 })).choices[0].message
    expect(content)
      .to.match(/212 steps/)
      .and.to.not.match(/You keep/)
  })

  it('given the same request, when it is answered again, then every byte is the same', async () => {
    for (const stream of [false, true]) {
      const once = await textOf(await ask({ ...user(ARTICLE), stream }))
      expect(await textOf(await ask({ ...user(ARTICLE), stream }))).to.equal(once)
      expect(await textOf(await ask({ ...user(`${ARTICLE} `), stream }))).to.not.equal(once)
    }
  })

  it('given a stream, when it is asked for, then it holds the same answer, and usage if that is asked for', async () => {
    const whole = await answerOf(user(ARTICLE))
    const response = await ask({ ...user(ARTICLE), stream: true })
    const chunks = chunksOf(await textOf(response))
    expect(chunks.map(({ choices }) => choices[0].delta.content ?? '').join('')).to.equal(whole.choices[0].message.content)
    expect(chunks[0].choices[0].delta.role).to.equal('assistant')
    expect(chunks.at(-1).choices[0].finish_reason).to.equal('stop')
    expect(response.usage()).to.include({ completionTokens: whole.usage.completion_tokens })
    expect(response.contentType).to.equal('text/event-stream')
    const counted = chunksOf(await textOf(await ask({ ...user(ARTICLE), stream: true, stream_options: { include_usage: true } })))
    expect(counted.at(-1)).to.deep.include({ choices: [], usage: whole.usage })
    expect(counted).to.have.length(chunks.length + 1)
  })

  it('given a limit of tokens, when the answer would be longer, then it is not, and says so only when a sentence was cut', async () => {
    for (const max_tokens of [1, 5, 20, 25, 40, 1000]) {
      const answer = await answerOf({ ...user(ARTICLE), max_tokens })
      expect(answer.usage.completion_tokens).to.be.at.most(max_tokens)
      expect(answer.choices[0].finish_reason, `${max_tokens}`).to.equal(max_tokens < 5 ? 'length' : 'stop')
    }
    expect((await answerOf({ ...user(ARTICLE), max_tokens: 9, max_completion_tokens: 3 })).usage.completion_tokens).to.equal(3)
  })

  it('given a stop word, when the answer has it, then it ends before it', async () => {
    const { content } = (await answerOf(user(ARTICLE))).choices[0].message
    const at = content.indexOf('harbour board')
    expect(at).to.be.greaterThan(0)
    for (const stop of ['harbour board', ['absent', 'harbour board']]) {
      expect((await answerOf({ ...user(ARTICLE), stop })).choices[0].message.content).to.equal(content.slice(0, at))
      const streamed = chunksOf(await textOf(await ask({ ...user(ARTICLE), stop, stream: true })))
      expect(streamed.map(({ choices }) => choices[0].delta.content ?? '').join('')).to.equal(content.slice(0, at))
    }
  })

  it('given a plain completion, when it is asked for, then it has its own shape', async () => {
    const answer = JSON.parse(await textOf(await ask({ prompt: ARTICLE }, 'completions')))
    expect(answer).to.include({ object: 'text_completion' })
    expect(answer.choices[0].text).to.equal((await answerOf(user(ARTICLE))).choices[0].message.content)
    const chunks = chunksOf(await textOf(await ask({ prompt: [ARTICLE], stream: true }, 'completions')))
    expect(chunks.map(({ choices }) => choices[0].text).join('')).to.equal(answer.choices[0].text)
  })

  it('given parts of text, when they are asked about, then they count as lines', async () => {
    const parts = ARTICLE.split('\n').map((text) => ({ type: 'text', text }))
    expect((await answerOf(user(parts))).choices[0].message.content).to.equal((await answerOf(user(ARTICLE))).choices[0].message.content)
  })

  it('given what it can not do, then it refuses with the member that is wrong', async () => {
    const cases: [Record<string, unknown>, RegExp][] = [
      [{}, /messages/],
      [{ messages: [] }, /messages/],
      [user(''), /no text/],
      [user(' \n '), /no text/],
      [user([{ type: 'image_url', image_url: { url: 'x' } }]), /content/],
      [{ messages: [{ role: 'tool', content: 'x' }] }, /role/],
      [{ ...user('a'), n: 2 }, /n: this model gives one/],
      [{ ...user('a'), max_tokens: 0 }, /max_tokens/],
      [{ ...user('a'), temperature: 3 }, /temperature/],
      [{ ...user('a'), top_p: 0 }, /top_p/],
      [{ ...user('a'), logprobs: true }, /log probabilities/],
      [{ ...user('a'), response_format: { type: 'json_object' } }, /JSON mode/],
      [{ ...user('a'), tool_choice: 'required' }, /no tools/],
      [{ ...user('a'), stop: ['a', 'b', 'c', 'd', 'e'] }, /stop/],
      [{ ...user('a'), seed: 0.5 }, /seed/],
      [user('a '.repeat(131_073)), /more than 131072 tokens/],
    ]
    for (const [body, message] of cases) {
      const fault = await faultOf(ask(body))
      expect([fault.code, fault.status, message.test(fault.message)], fault.message).to.deep.equal(['rejected', 400, true])
    }
    expect((await faultOf(ask({ input: 'a', model: SUMMARISER }, 'embeddings'))).code).to.equal('unsupported')
    expect((await faultOf(ask({ ...user('a'), model: 'gpt-4o' }))).code).to.equal('unsupported')
  })

  it('given a seed, then the receipt can name it', async () => {
    expect((await ask({ ...user('One. Two.'), seed: 7 })).seed).to.equal(7n)
  })

  it('counts tokens as documented', () => {
    expect(tokensOf('Hello, wörld! 3.14 naïve_x')).to.deep.equal(['Hello', ',', 'wörld', '!', '3', '.', '14', 'naïve', '_', 'x'])
    expect(tokensOf('a'.repeat(25))).to.deep.equal(['a'.repeat(12), 'a'.repeat(12), 'a'])
    expect(countTokens('汉字'.repeat(12))).to.equal(2)
    expect(countTokens('🙂 🙂')).to.equal(2)
    expect(countTokens(' \n\t')).to.equal(0)
  })

  it('cuts text into sentences without losing any of it', () => {
    expect(sentencesOf('He came, e.g. on foot. “Well?” she said. 3.5 m high!\nNo end')).to.deep.equal([
      'He came, e.g. on foot.',
      '“Well?” she said.',
      '3.5 m high!',
      'No end',
    ])
    expect(sentencesOf('你好。再见！')).to.deep.equal(['你好。', '再见！'])
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        expect(sentencesOf(text).join('').replaceAll(/\s/gu, '')).to.equal(text.replaceAll(/\s/gu, ''))
        const { sentences } = extract([text], 1000)
        for (const sentence of sentences) expect(text).to.contain(sentence)
      }),
      { seed: 14, numRuns: 300 },
    )
  })

  it('embeds texts so that those that share words are near each other', async () => {
    const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)
    const [lamp, lamps, tea] = ['the lamp of the lighthouse', 'Lighthouse lamps', 'prices of tea in spring'].map((text) => embed(text, 256)) as [any, any, any]
    expect(cosine(lamp, lamp)).to.be.closeTo(1, 1e-6)
    expect(cosine(lamp, lamps)).to.be.greaterThan(cosine(lamp, tea) + 0.2)
    expect(embed('ﬁne', 64)).to.deep.equal(embed('FINE', 64))
    expect([...embed('', 4)]).to.deep.equal([0, 0, 0, 0])
  })

  it('serves embeddings as numbers and as Base64, of any dimension', async () => {
    const input = ['one text', 'another']
    const response = await ask({ input }, 'embeddings')
    const numbers = JSON.parse(await textOf(response))
    expect(response.usage()).to.deep.equal({ kind: 'tokens', promptTokens: 3, completionTokens: 0, cachedTokens: 0 })
    expect(numbers.data.map(({ index, embedding }: any) => [index, embedding.length])).to.deep.equal([
      [0, 256],
      [1, 256],
    ])
    const encoded = JSON.parse(await textOf(await ask({ input, encoding_format: 'base64' }, 'embeddings')))
    const bytes = Buffer.from(encoded.data[1].embedding, 'base64')
    expect([...new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))]).to.deep.equal(numbers.data[1].embedding)
    expect(JSON.parse(await textOf(await ask({ input: 'x', dimensions: 8 }, 'embeddings'))).data[0].embedding).to.have.length(8)
    for (const body of [{ input, dimensions: 5000 }, { input: [] }, { input: [[1, 2]] }, { input: 'x', stream: true }, {}]) {
      expect((await faultOf(ask(body, 'embeddings'))).code).to.equal('rejected')
    }
  })

  it('says which code answers, in a spec of its own for each model', async () => {
    const models = await backend.models()
    expect(models.map(({ id }) => id)).to.deep.equal([SUMMARISER, EMBEDDER])
    expect(new Set(models.map(({ spec }) => specHash(spec)))).to.have.length(2)
    for (const { spec } of models) expect(spec.engine).to.match(/^sha256:[0-9a-f]{64} unicode-/)
  })
})

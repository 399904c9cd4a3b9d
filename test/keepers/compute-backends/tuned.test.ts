import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { openBackend } from '../../../keepers/compute/provider/backend.ts'
import { createTuned } from '../../../keepers/compute/provider/backends/tuned.ts'
import { embeddedTrainer } from '../../../keepers/compute/tuning/trainers/embedded.ts'
import { ConfigError } from '../../../keepers/runtime/config.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { chatLines, customerRows, PARAMS } from '../compute-tuning/sample-dataset.ts'
import { chunksOf, faultOf, never, requestOf, textOf } from './requests.ts'

const config = { models: [], spec: {}, connectMs: 1000, firstByteMs: 1000, stallMs: 1000 }
const QUESTION = 'please refund the broken toaster'
const ANSWER = 'Refunds take five days.'
const user = (content: string) => ({
  model: 'support',
  messages: [
    { role: 'system', content: 'You help.' },
    { role: 'user', content },
  ],
})

describe('tuned backend', function () {
  this.timeout(30_000)
  let folder: string
  let path: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perigee-tuned-'))
    await mkdir(join(folder, 'job'))
    await writeFile(join(folder, 'dataset'), chatLines(customerRows()))
    const job = { taskId: 't', model: 'm', dataset: join(folder, 'dataset'), folder: join(folder, 'job'), params: PARAMS, signal: never, onProgress: () => {} }
    path = join(folder, 'support.model')
    await rename(await embeddedTrainer.train(job), path)
  })
  after(() => rm(folder, { recursive: true }))

  it('given the file of a trained model, when it is asked something it never saw, then it answers as it was taught, as OpenAI does', async () => {
    const backend = await openBackend({ backend: 'tuned', tuned: path, ...config }, createLog({ name: 'test', level: 'silent' }))
    const [model] = await backend.models()
    expect(model).to.deep.include({ id: 'support', endpoints: ['chat/completions', 'completions'] })
    expect(model!.spec.weights).to.match(/^sha256:[0-9a-f]{64}$/)
    const response = await backend.complete(requestOf(user(QUESTION)), never)
    const body = JSON.parse(await textOf(response))
    expect(body).to.include({ object: 'chat.completion', model: 'support' })
    expect(body.choices[0]).to.deep.include({ message: { role: 'assistant', content: ANSWER, refusal: null }, finish_reason: 'stop' })
    expect(body.usage).to.deep.equal({ prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 })
    expect(response.usage()).to.deep.equal({ kind: 'tokens', promptTokens: 5, completionTokens: 5, cachedTokens: 0 })
    const plain = JSON.parse(await textOf(await backend.complete(requestOf({ model: 'support', prompt: QUESTION }, { endpoint: 'completions' }), never)))
    expect(plain.choices[0].text).to.equal(ANSWER)
  })

  it('given a stream, when it is asked for, then it holds the same answer, and usage if that is asked for', async () => {
    const backend = createTuned(path)
    const chunks = chunksOf(
      await textOf(await backend.complete(requestOf({ ...user(QUESTION), stream: true, stream_options: { include_usage: true } }), never)),
    )
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).to.equal(ANSWER)
    expect(chunks.at(-1).usage.completion_tokens).to.equal(5)
  })

  it('given a limit or a stop word, then the answer ends there', async () => {
    const ask = async (more: object) => JSON.parse(await textOf(await createTuned(path).complete(requestOf({ ...user(QUESTION), ...more }), never))).choices[0]
    expect(await ask({ max_tokens: 2 })).to.deep.include({ finish_reason: 'length', message: { role: 'assistant', content: 'Refunds take', refusal: null } })
    expect(await ask({ stop: [' five'] })).to.deep.include({ finish_reason: 'stop', message: { role: 'assistant', content: 'Refunds take', refusal: null } })
  })

  it('given nothing to answer, too much, or another endpoint, then it refuses', async () => {
    const backend = createTuned(path)
    expect((await faultOf(backend.complete(requestOf(user('')), never))).code).to.equal('rejected')
    expect((await faultOf(backend.complete(requestOf(user('word '.repeat(16_385))), never))).message).to.include('16385 tokens')
    expect((await faultOf(backend.complete(requestOf({ input: 'x' }, { endpoint: 'embeddings' }), never))).code).to.equal('unsupported')
  })

  it('given no file, or one that is no model, then it says so at the start', async () => {
    await writeFile(join(folder, 'damaged.model'), 'PGTM')
    expect(() => createTuned(join(folder, 'damaged.model'))).to.throw(ConfigError, 'tuned is')
    expect(() => createTuned(join(folder, 'missing.model'))).to.throw(ConfigError, 'ENOENT')
    const error = await openBackend({ backend: 'tuned', ...config }, createLog({ name: 'test', level: 'silent' })).catch((reason) => reason)
    expect(error).to.be.instanceOf(ConfigError)
    expect(error.message).to.match(/TUNED/)
  })
})

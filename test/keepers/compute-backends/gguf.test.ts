import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Backend } from '../../../keepers/compute/provider/backends/backend.ts'
import { createGguf } from '../../../keepers/compute/provider/backends/gguf.ts'
import { isLlamaInstalled } from '../../../keepers/compute/provider/backends/llama-library.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { specHash } from '../../../protocol/compute/spec.ts'
import { writeRandomGguf } from './random-gguf.ts'
import { chunksOf, faultOf, never, requestOf, textOf } from './requests.ts'

const log = createLog({ name: 'test', level: 'silent' })
const missing = isLlamaInstalled() ? '' : ' (left out: node-llama-cpp is not installed, npm ci --prefix extras --ignore-scripts)'
if (missing && process.env.PERIGEE_REQUIRE_SERVERS === 'true') throw new Error(`gguf backend${missing}, and PERIGEE_REQUIRE_SERVERS is true`)

describe(`gguf backend${missing}`, function () {
  if (missing) return
  this.timeout(120_000)
  const folder = mkdtempSync(join(tmpdir(), 'perigee-gguf-'))
  const path = join(folder, 'random.gguf')
  let backend: Backend

  before(async () => {
    writeRandomGguf(path, 1)
    backend = await createGguf({ path, log })
  })
  after(async () => {
    await backend.close()
    rmSync(folder, { recursive: true })
  })

  const messages = [
    { role: 'system', content: 'be brief' },
    { role: 'user', content: 'hello there' },
  ]
  const ask = (body: Record<string, unknown>, signal = never) =>
    backend.complete(requestOf({ model: 'random', messages, max_tokens: 8, seed: 5, ...body }), signal)
  const contentOf = async (body: Record<string, unknown>): Promise<string> => JSON.parse(await textOf(await ask(body))).choices[0].message.content

  it('given a model, when it is asked twice with a seed, then it says the same, and with another seed something else', async () => {
    const response = await ask({})
    const answer = JSON.parse(await textOf(response))
    expect(answer.choices[0].finish_reason).to.equal('length')
    expect(response.seed).to.equal(5n)
    expect(response.usage()).to.deep.include({ kind: 'tokens', completionTokens: 8, cachedTokens: 0 })
    expect(answer.usage.completion_tokens).to.equal(8)
    expect(answer.usage.prompt_tokens).to.be.greaterThan(20)
    const { content } = answer.choices[0].message
    expect(await contentOf({})).to.equal(content)
    expect(await contentOf({ seed: 6 })).to.not.equal(content)
    expect(await contentOf({ temperature: 0, seed: 6 })).to.equal(await contentOf({ temperature: 0, seed: 7 }))
  })

  it('given no seed, when it answers, then the one it drew is told and gives the same answer', async () => {
    const response = await ask({ seed: null })
    const { content } = JSON.parse(await textOf(response)).choices[0].message
    expect(response.seed > 0n).to.equal(true)
    expect(await contentOf({ seed: Number(response.seed) })).to.equal(content)
  })

  it('given a stream, when it is asked for, then it holds the same answer and ends with its usage', async () => {
    const response = await ask({ stream: true, stream_options: { include_usage: true } })
    expect(() => response.usage()).to.throw(/not ended/)
    const chunks = chunksOf(await textOf(response))
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).to.equal(await contentOf({}))
    expect(chunks.length).to.be.greaterThan(4)
    expect(chunks.at(-2).choices[0].finish_reason).to.equal('length')
    expect(chunks.at(-1).usage.completion_tokens).to.equal(8)
  })

  it('given a plain completion, when it is asked for, then the text is continued', async () => {
    const request = requestOf({ model: 'random', prompt: 'once upon', max_tokens: 4, seed: 1 }, { endpoint: 'completions' })
    const answer = JSON.parse(await textOf(await backend.complete(request, never)))
    expect(answer.object).to.equal('text_completion')
    expect(answer.usage.completion_tokens).to.equal(4)
  })

  it('given a reader who leaves, when others wait, then their answers come, and are what they would have been', async () => {
    const expected = await contentOf({})
    const leaving = await ask({ stream: true, max_tokens: 200 })
    const waiting = contentOf({})
    for await (const _ of leaving.body) break
    expect(await waiting).to.equal(expected)
    const controller = new AbortController()
    const aborted = ask({ max_tokens: 200 }, controller.signal).catch((error) => error)
    controller.abort(new Error('the client has gone'))
    expect((await aborted).message).to.equal('the client has gone')
    expect(await contentOf({})).to.equal(expected)
  })

  it('given more than the context holds, when it is asked, then it refuses, and cuts what would outgrow it', async () => {
    const fault = await faultOf(ask({ messages: [{ role: 'user', content: 'x'.repeat(400) }] }))
    expect([fault.code, fault.status]).to.deep.equal(['rejected', 400])
    const response = await ask({ messages: [{ role: 'user', content: 'x'.repeat(200) }], max_tokens: 1000 })
    const { completion_tokens, total_tokens } = JSON.parse(await textOf(response)).usage
    expect(total_tokens).to.be.at.most(256)
    expect(completion_tokens).to.be.greaterThan(0)
  })

  it('given what it can not do, when it is asked, then it refuses', async () => {
    expect((await faultOf(ask({ model: 'other' }))).code).to.equal('unsupported')
    expect((await faultOf(ask({ response_format: { type: 'json_object' } }))).code).to.equal('rejected')
  })

  it('says exactly what answers: the digest of the file, its template and the engine', async () => {
    const [model] = await backend.models()
    const digest = `sha256:${createHash('sha256').update(readFileSync(path)).digest('hex')}`
    expect(model!.spec).to.include({ weights: digest, tokenizer: digest })
    expect(model!.spec.engine).to.match(/^node-llama-cpp 3\.22\.1, llama\.cpp /)
    expect(model!.contextLength).to.equal(256)
    const other = join(folder, 'other.gguf')
    writeRandomGguf(other, 2)
    const second = await createGguf({ path: other, log })
    const [another] = await second.models()
    await second.close()
    expect(specHash(another!.spec)).to.not.equal(specHash(model!.spec))
  })

  it('given a file that is no model, or none, when it starts, then it says so', async () => {
    const bad = join(folder, 'bad.gguf')
    for (const content of ['', 'GGUF, it says', 'safetensors']) {
      writeFileSync(bad, content)
      const error = await createGguf({ path: bad, log }).catch((reason) => reason)
      expect([error.name, error.message], content).to.satisfy(([name, message]: string[]) => name === 'ConfigError' && message!.includes('is not a GGUF file'))
    }
    expect((await createGguf({ path: join(folder, 'absent'), log }).catch((reason) => reason)).message).to.match(/can't be read/)
  })
})

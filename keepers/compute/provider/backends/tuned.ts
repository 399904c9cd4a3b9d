import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename, extname } from 'node:path'
import { answer, decodeModel, ModelFormatError, TOKEN, type TunedModel, tokenize } from '../../../../protocol/compute/tuned-model.ts'
import { promptOf } from '../../../../protocol/compute/tuning-dataset.ts'
import type { Usage } from '../../../../protocol/compute/units.ts'
import { ConfigError } from '../../../runtime/config.ts'
import { type Backend, BackendError, type BackendRequest, type BackendResponse, type Model } from './backend.ts'
import { chatRequestOf, completionRequestOf, type Sampling } from './chat-request.ts'
import { type AnswerShape, CHAT, COMPLETION, END, type FinishReason } from './openai-answers.ts'

/** Bounds the work of one request, which nothing interrupts. */
const MAX_TOKENS = 16_384
/** `created` of every answer, the day of this version: an answer is the same bytes every time. */
const CREATED = 1_767_225_600

/** Serves a model that the embedded trainer of `compute/tuning` made, under the name of its file. @throws ConfigError when it can't be read */
export function createTuned(path: string): Backend {
  const { model, digest } = read(path)
  const served: Model = {
    id: basename(path, extname(path)),
    endpoints: ['chat/completions', 'completions'],
    spec: {
      weights: `sha256:${digest}`,
      tokenizer: 'perigee/words-1',
      template: 'the last message of the user',
      engine: `${model.header.architecture} node-${process.versions.node}`,
      dtype: 'float32',
    },
    contextLength: MAX_TOKENS,
    maxCompletionTokens: Math.max(...model.header.answers.map((text) => tokenize(text).length)),
    ownedBy: 'perigee',
  }
  return {
    kind: 'tuned',
    models: async () => [served],
    async complete(request) {
      if (request.endpoint === 'chat/completions') {
        const { messages, ...sampling } = chatRequestOf(request)
        return respond(model, request, sampling, promptOf(messages), CHAT)
      }
      if (request.endpoint !== 'completions') throw new BackendError('unsupported', `${request.model} does not serve ${request.endpoint}`)
      const { prompt, ...sampling } = completionRequestOf(request)
      return respond(model, request, sampling, prompt, COMPLETION)
    },
    problem: () => undefined,
    close: async () => {},
  }
}

function read(path: string): { model: TunedModel; digest: string } {
  try {
    const bytes = readFileSync(path)
    return { model: decodeModel(bytes), digest: createHash('sha256').update(bytes).digest('hex') }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === undefined && !(error instanceof ModelFormatError)) throw error
    throw new ConfigError([`tuned is ${path}: ${message}`])
  }
}

function respond(model: TunedModel, request: BackendRequest, sampling: Sampling, prompt: string, shape: AnswerShape): BackendResponse {
  const promptTokens = tokenize(prompt).length
  if (promptTokens === 0) throw new BackendError('rejected', 'there is nothing to answer: the last message of the user is empty')
  if (promptTokens > MAX_TOKENS) throw new BackendError('rejected', `the prompt has ${promptTokens} tokens, more than ${MAX_TOKENS}`)
  const { text, reason } = bounded(answer(model, prompt).text, sampling)
  const usage: Usage = { kind: 'tokens', promptTokens, completionTokens: tokenize(text).length, cachedTokens: 0 }
  const head = { id: `tuned-${createHash('sha256').update(request.body).digest('hex').slice(0, 32)}`, created: CREATED, model: request.model }
  const common = { status: 200, usage: () => usage, seed: sampling.seed }
  if (!request.stream) return { ...common, contentType: 'application/json', body: each([shape.whole(head, text, reason, usage)]) }
  const events = [shape.first(head), shape.piece(head, text), shape.last(head, reason), sampling.wantsUsage ? shape.usage(head, usage) : '', END]
  return { ...common, contentType: 'text/event-stream', body: each(events.filter((event) => event !== '').map((event) => Buffer.from(event))) }
}

/** An answer up to its first stop word, and of no more tokens than asked for. */
function bounded(text: string, { stop, maxTokens }: Sampling): { text: string; reason: FinishReason } {
  const kept = text.slice(0, Math.min(text.length, ...stop.map((word) => text.indexOf(word)).filter((at) => at >= 0)))
  if (maxTokens === undefined || tokenize(kept).length <= maxTokens) return { text: kept, reason: 'stop' }
  let end = 0
  for (const [i, { index, 0: token }] of [...kept.matchAll(TOKEN)].entries()) if (i < maxTokens) end = index + token.length
  return { text: kept.slice(0, end), reason: 'length' }
}

async function* each(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces
}

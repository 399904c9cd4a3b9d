import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ModelSpec } from '../../../../protocol/compute/spec.ts'
import type { Usage } from '../../../../protocol/compute/units.ts'
import { type Backend, BackendError, type BackendRequest, type BackendResponse, type Model } from './backend.ts'
import { chatRequestOf, completionRequestOf, embeddingRequestOf, type Sampling } from './chat-request.ts'
import { countTokens, extract } from './extractive-text.ts'
import { DIMENSIONS, embed } from './ngram-embedding.ts'
import { type AnswerShape, CHAT, COMPLETION, END, type FinishReason } from './openai-answers.ts'

/** Names say what they are: neither is a language model. */
export const SUMMARISER = 'perigee-extractive-summariser'
export const EMBEDDER = 'perigee-hashed-ngrams'

/** Bounds the work of one request, which nothing interrupts. */
const MAX_TOKENS = 131_072
const MAX_DIMENSIONS = 4096
/** `created` of every answer, the day of this version: with it, and an id that is the hash of the request, answers are the same bytes every time. */
const CREATED = 1_767_225_600

/** Digest of the code that answers. */
const codeOf = (file: string): string =>
  `sha256:${createHash('sha256')
    .update(readFileSync(new URL(file, import.meta.url)))
    .digest('hex')}`

function specOf(file: string): ModelSpec {
  const code = codeOf(file)
  return {
    weights: 'none',
    tokenizer: code,
    template: 'texts of all messages but the system’s',
    engine: `${code} unicode-${process.versions.unicode}`,
    dtype: 'int32',
  }
}

/** Answers with sentences of the text it is given: what is served when nothing else is configured. */
export function createExtractive(): Backend {
  const models: readonly Model[] = [
    {
      id: SUMMARISER,
      endpoints: ['chat/completions', 'completions'],
      spec: specOf('extractive-text.ts'),
      contextLength: MAX_TOKENS,
      maxCompletionTokens: 4096,
      ownedBy: 'perigee',
    },
    { id: EMBEDDER, endpoints: ['embeddings'], spec: specOf('ngram-embedding.ts'), contextLength: MAX_TOKENS, ownedBy: 'perigee' },
  ]
  return {
    kind: 'extractive',
    models: async () => models,
    async complete(request) {
      const model = models.find(({ id }) => id === request.model)
      if (!model?.endpoints.includes(request.endpoint)) throw new BackendError('unsupported', `${request.model} does not serve ${request.endpoint}`)
      if (request.endpoint === 'embeddings') return embeddings(request)
      return request.endpoint === 'completions' ? completion(request) : chat(request)
    },
    problem: () => undefined,
    close: async () => {},
  }
}

function chat(request: BackendRequest): BackendResponse {
  const { messages, ...sampling } = chatRequestOf(request)
  const spoken = messages.filter(({ role }) => role === 'user' || role === 'assistant').map(({ content }) => content)
  return summarise(
    request,
    sampling,
    spoken,
    messages.map(({ content }) => content),
    CHAT,
  )
}

function completion(request: BackendRequest): BackendResponse {
  const { prompt, ...sampling } = completionRequestOf(request)
  return summarise(request, sampling, [prompt], [prompt], COMPLETION)
}

function summarise(request: BackendRequest, sampling: Sampling, texts: readonly string[], read: readonly string[], shape: AnswerShape): BackendResponse {
  const promptTokens = countAll(read)
  const { sentences, cut } = extract(texts, sampling.maxTokens ?? MAX_TOKENS)
  if (sentences.length === 0) throw new BackendError('rejected', 'there is no text to take sentences from: this model summarises what it is given')
  const pieces = untilStop(
    sentences.map((sentence, i) => (i === 0 ? sentence : ` ${sentence}`)),
    sampling.stop,
  )
  const content = pieces.join('')
  const reason: FinishReason = cut ? 'length' : 'stop'
  const usage: Usage = { kind: 'tokens', promptTokens, completionTokens: countTokens(content), cachedTokens: 0 }
  const head = { id: `extract-${createHash('sha256').update(request.body).digest('hex').slice(0, 32)}`, created: CREATED, model: request.model }
  const answer = { status: 200, usage: () => usage, seed: sampling.seed }
  if (!request.stream) return { ...answer, contentType: 'application/json', body: once(shape.whole(head, content, reason, usage)) }
  const events = [
    shape.first(head),
    ...pieces.map((piece) => shape.piece(head, piece)),
    shape.last(head, reason),
    sampling.wantsUsage ? shape.usage(head, usage) : '',
    END,
  ]
  return { ...answer, contentType: 'text/event-stream', body: each(events) }
}

function embeddings(request: BackendRequest): BackendResponse {
  const { input, encoding_format, dimensions = DIMENSIONS } = embeddingRequestOf(request)
  const length = dimensions ?? DIMENSIONS
  if (length > MAX_DIMENSIONS) throw new BackendError('rejected', `dimensions: ${length} are more than ${MAX_DIMENSIONS}`)
  if (request.stream) throw new BackendError('rejected', 'stream: embeddings are not streamed')
  const promptTokens = countAll(input)
  const encode = (vector: Float32Array) => (encoding_format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector])
  const body = {
    object: 'list',
    data: input.map((text, index) => ({ object: 'embedding', index, embedding: encode(embed(text, length)) })),
    model: request.model,
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
  }
  const usage: Usage = { kind: 'tokens', promptTokens, completionTokens: 0, cachedTokens: 0 }
  return { status: 200, contentType: 'application/json', body: once(Buffer.from(JSON.stringify(body))), usage: () => usage, seed: 0n }
}

/** @throws BackendError rejected */
function countAll(texts: readonly string[]): number {
  let tokens = 0
  for (const text of texts) {
    tokens += countTokens(text)
    if (tokens > MAX_TOKENS) throw new BackendError('rejected', `the text has more than ${MAX_TOKENS} tokens`)
  }
  return tokens
}

/** The pieces before the first stop word, which may span several. */
function untilStop(pieces: readonly string[], stops: readonly string[]): string[] {
  const whole = pieces.join('')
  const ends = stops.map((stop) => whole.indexOf(stop)).filter((at) => at >= 0)
  let left = Math.min(whole.length, ...ends)
  return pieces.flatMap((piece) => {
    const kept = piece.slice(0, left)
    left -= kept.length
    return kept === '' ? [] : [kept]
  })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function* each(events: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const event of events) if (event !== '') yield Buffer.from(event)
}

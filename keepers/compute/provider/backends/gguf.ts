import { createHash, randomInt, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import PQueue from 'p-queue'
import type { Usage } from '../../../../protocol/compute/units.ts'
import { ConfigError } from '../../../runtime/config.ts'
import type { Log } from '../../../runtime/log.ts'
import { type Backend, BackendError, type BackendRequest, type BackendResponse, type Model } from './backend.ts'
import { type ChatRequest, chatRequestOf, completionRequestOf, type Sampling } from './chat-request.ts'
import { type ChatHistory, type ChatWrapper, type Generated, type Generation, type LlamaModel, type LlamaSequence, loadLlamaLibrary } from './llama-library.ts'
import { type AnswerShape, CHAT, COMPLETION, END } from './openai-answers.ts'

export interface GgufOptions {
  /** Of the model. */
  path: string
  /** Tokens of prompt and answer together; fewer take less memory. */
  contextSize?: number | undefined
  log: Log
}

const DEFAULT_CONTEXT = 8192
/** All cores but one, which serves everybody else. */
const THREADS = Math.max(1, availableParallelism() - 1)
/** As OpenAI's. */
const DEFAULT_TEMPERATURE = 1

/** A prompt ready to be answered. */
interface Prompt {
  tokens: number
  shape: AnswerShape
  generate(options: Generation): Promise<Generated>
}

/**
 * Runs a GGUF file in this process, on the CPU, one answer after the other: alone, and with a seed that the receipt names, an answer can be
 * computed again.
 * @throws ConfigError without node-llama-cpp, or when the file is no GGUF; whatever the engine says of one that it can't load
 */
export async function createGguf({ path, contextSize = DEFAULT_CONTEXT, log }: GgufOptions): Promise<Backend> {
  await requireGguf(path)
  const { library, version } = await loadLlamaLibrary()
  const weights = await digestOf(path)
  const llama = await library.getLlama({ build: 'never', gpu: false, logLevel: 'warn', logger: (level, message) => log.debug({ level }, message.trim()) })
  const model = await llama.loadModel({ modelPath: path })
  const context = await model.createContext({ sequences: 1, contextSize: Math.min(contextSize, model.trainContextSize), threads: THREADS })
  const sequence = context.getSequence()
  const wrapper = library.resolveChatWrapper(model)
  const served: Model = {
    id: basename(path).replace(/\.gguf$/i, ''),
    endpoints: ['chat/completions', 'completions'],
    spec: {
      weights,
      tokenizer: weights,
      template: templateOf(model, wrapper),
      engine: `node-llama-cpp ${version}, llama.cpp ${llama.llamaCppRelease.release}, cpu`,
      dtype: `gguf file type ${model.fileInfo.metadata.general?.file_type ?? 'unknown'}`,
    },
    contextLength: context.contextSize,
    ownedBy: 'provider',
  }
  const turns = new PQueue({ concurrency: 1 })

  const promptOf = (request: BackendRequest): { prompt: Prompt; sampling: Sampling } => {
    if (request.endpoint === 'completions') {
      const { prompt: text, ...sampling } = completionRequestOf(request)
      const tokens = model.tokenizer(text)
      const completion = new library.LlamaCompletion({ contextSequence: sequence })
      const generate = (options: Generation) => completion.generateCompletionWithMeta(tokens, { ...options, disableContextShift: true })
      return { prompt: { tokens: tokens.length, shape: COMPLETION, generate }, sampling }
    }
    const { messages, ...sampling } = chatRequestOf(request)
    const chatHistory = historyOf(messages)
    const { contextText } = wrapper.generateContextState({ chatHistory: [...chatHistory, { type: 'model', response: [] }] })
    const chat = new library.LlamaChat({ contextSequence: sequence, chatWrapper: wrapper })
    const generate = (options: Generation) => chat.generateResponse([...chatHistory, { type: 'model', response: [] }], { ...options, contextShift: NO_SHIFT })
    return { prompt: { tokens: contextText.tokenize(model.tokenizer).length, shape: CHAT, generate }, sampling }
  }

  return {
    kind: 'gguf',
    models: async () => [served],
    async complete(request, signal) {
      if (request.model !== served.id || !served.endpoints.includes(request.endpoint)) {
        throw new BackendError('unsupported', `${request.model} does not serve ${request.endpoint}`)
      }
      const { prompt, sampling } = promptOf(request)
      const room = context.contextSize - prompt.tokens
      if (room < 1) throw new BackendError('rejected', `the prompt has ${prompt.tokens} tokens, the model takes ${context.contextSize} with the answer`)
      return answer({ request, prompt, sampling, maxTokens: Math.min(sampling.maxTokens ?? room, room), sequence, turns, signal })
    },
    problem: () => undefined,
    async close() {
      await turns.onIdle()
      await llama.dispose()
    },
  }
}

/** An answer that would not fit is cut, and never continued without its beginning. */
const NO_SHIFT = {
  strategy: (): never => {
    throw new BackendError('rejected', 'prompt and answer do not fit the context of the model')
  },
}

interface Work {
  request: BackendRequest
  prompt: Prompt
  sampling: Sampling
  maxTokens: number
  sequence: LlamaSequence
  turns: PQueue
  signal: AbortSignal
}

async function answer({ request, prompt, sampling, maxTokens, sequence, turns, signal }: Work): Promise<BackendResponse> {
  // The engine takes 32 bits. Without a seed, one is drawn and told: so every answer can be computed again.
  const seed = request.json?.seed == null ? randomInt(1, 2 ** 32) : Number(BigInt.asUintN(32, sampling.seed))
  const head = { id: `${prompt.shape === CHAT ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: request.model }
  const leaving = new AbortController()
  const pieces = new TransformStream<string, string>(undefined, { highWaterMark: Number.POSITIVE_INFINITY })
  const writer = pieces.writable.getWriter()
  let usage: Extract<Usage, { kind: 'tokens' }> | undefined
  const generated = turns.add(async () => {
    const ended = AbortSignal.any([signal, leaving.signal])
    ended.throwIfAborted()
    await sequence.clearHistory()
    const before = sequence.tokenMeter.getState()
    const { metadata } = await prompt.generate({
      onTextChunk: (text) => {
        if (text !== '') writer.write(text).catch(() => {})
      },
      signal: ended,
      maxTokens,
      temperature: sampling.temperature ?? DEFAULT_TEMPERATURE,
      ...(sampling.topP !== undefined && { topP: sampling.topP }),
      seed,
      customStopTriggers: sampling.stop,
    })
    usage = { kind: 'tokens', promptTokens: prompt.tokens, completionTokens: sequence.tokenMeter.diff(before).usedOutputTokens, cachedTokens: 0 }
    return metadata.stopReason === 'maxTokens' ? ('length' as const) : ('stop' as const)
  })
  generated
    .then(
      () => writer.close(),
      (error) => writer.abort(asBackendError(error, signal)),
    )
    .catch(() => {})
  const texts = pieces.readable[Symbol.asyncIterator]()
  const common = {
    status: 200,
    seed: BigInt(seed),
    usage: () => {
      if (!usage) throw new BackendError('no-usage', 'the answer has not ended')
      return usage
    },
  }
  if (!request.stream) {
    let text = ''
    for (let next = await texts.next(); !next.done; next = await texts.next()) text += next.value
    return { ...common, contentType: 'application/json', body: once(prompt.shape.whole(head, text, await generated, usage!)) }
  }
  // Failures before the first piece are errors with a status.
  const first = await texts.next()
  const stream = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield Buffer.from(prompt.shape.first(head) + (first.done ? '' : prompt.shape.piece(head, first.value)))
      for (let next = first; !next.done; ) {
        next = await texts.next()
        if (!next.done) yield Buffer.from(prompt.shape.piece(head, next.value))
      }
      yield Buffer.from(prompt.shape.last(head, await generated) + (sampling.wantsUsage ? prompt.shape.usage(head, usage!) : '') + END)
    } finally {
      leaving.abort(new BackendError('died', 'nobody reads the answer'))
    }
  }
  return { ...common, contentType: 'text/event-stream', body: stream() }
}

function asBackendError(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof BackendError || signal.aborted) return error
  return new BackendError('died', `the model failed: ${(error as Error).message}`, { cause: error })
}

function historyOf(messages: ChatRequest['messages']): ChatHistory {
  return messages.map(({ role, content }) => {
    if (role === 'assistant') return { type: 'model', response: [content] }
    return { type: role === 'user' ? 'user' : 'system', text: content }
  })
}

function templateOf({ fileInfo }: LlamaModel, { wrapperName }: ChatWrapper): string {
  const template = fileInfo.metadata.tokenizer?.chat_template
  const digest = template === undefined ? 'none in the file' : `sha256:${createHash('sha256').update(template).digest('hex')}`
  return `${wrapperName}, ${digest}`
}

/** The engine reads on and on in what is none. */
async function requireGguf(path: string): Promise<void> {
  const file = await open(path).catch((error: Error) => {
    throw new ConfigError([`gguf ${path} can't be read: ${error.message}`])
  })
  const { buffer } = await file.read(Buffer.alloc(8), 0, 8, 0).finally(() => file.close())
  const version = buffer.readUInt32LE(4)
  if (buffer.toString('latin1', 0, 4) !== 'GGUF' || version < 2 || version > 3) throw new ConfigError([`${path} is not a GGUF file of version 2 or 3`])
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return `sha256:${hash.digest('hex')}`
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

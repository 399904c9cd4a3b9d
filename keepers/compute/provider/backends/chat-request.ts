import { z } from 'zod'
import { BackendError, type BackendRequest } from './backend.ts'

/** What the models in this process understand of OpenAI's requests; whatever they don't is refused where ignoring it would change the answer's meaning. */
const text = z.object({ type: z.literal('text'), text: z.string() })
const content = z.union([z.string(), z.array(text).transform((parts) => parts.map((part) => part.text).join('\n'))])
const sampling = {
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  stop: z
    .union([z.string(), z.array(z.string()).max(4)])
    .nullish()
    .transform((stop) => (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((word) => word !== '')),
  seed: z.int().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  n: z.literal(1, 'this model gives one answer').nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  logprobs: z.union([z.literal(false), z.null()], 'this model has no log probabilities').optional(),
}
const chat = z.object({
  ...sampling,
  messages: z.array(z.object({ role: z.enum(['system', 'developer', 'user', 'assistant']), content })).min(1),
  response_format: z.object({ type: z.literal('text', 'this model has no JSON mode') }).nullish(),
  tool_choice: z.union([z.literal('none'), z.literal('auto'), z.null()], 'this model calls no tools').optional(),
})
const completion = z.object({ ...sampling, prompt: z.union([z.string(), z.tuple([z.string()]).transform(([one]) => one)]) })
const embedding = z.object({
  input: z.union([z.string().transform((one) => [one]), z.array(z.string()).min(1).max(2048)], 'expected text or a list of texts'),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().min(1).nullish(),
})

export interface Message {
  role: 'system' | 'developer' | 'user' | 'assistant'
  content: string
}

export interface Sampling {
  /** Tokens of the answer at most; undefined without a limit. */
  maxTokens: number | undefined
  stop: readonly string[]
  /** Below 2^64; 0 when it was not set. */
  seed: bigint
  temperature: number | undefined
  topP: number | undefined
  wantsUsage: boolean
}

export type ChatRequest = Sampling & { messages: readonly Message[] }
export type CompletionRequest = Sampling & { prompt: string }
export type EmbeddingRequest = z.output<typeof embedding>

/** @throws BackendError rejected, with the member that is wrong */
export function chatRequestOf({ json }: BackendRequest): ChatRequest {
  const request = parse(chat, json)
  return { ...samplingOf(request), messages: request.messages }
}

/** @throws BackendError rejected */
export function completionRequestOf({ json }: BackendRequest): CompletionRequest {
  const request = parse(completion, json)
  return { ...samplingOf(request), prompt: request.prompt }
}

/** @throws BackendError rejected */
export const embeddingRequestOf = ({ json }: BackendRequest): EmbeddingRequest => parse(embedding, json)

/** The seed of a request as receipts hold it. */
export const seedOf = (seed: number | null | undefined): bigint => BigInt.asUintN(64, BigInt(seed ?? 0))

function samplingOf({ max_tokens, max_completion_tokens, stop, seed, temperature, top_p, stream_options }: Omit<z.output<typeof chat>, 'messages'>): Sampling {
  return {
    maxTokens: max_completion_tokens ?? max_tokens ?? undefined,
    stop,
    seed: seedOf(seed),
    temperature: temperature ?? undefined,
    topP: top_p ?? undefined,
    wantsUsage: stream_options?.include_usage === true,
  }
}

function parse<S extends z.ZodType>(schema: S, json: unknown): z.output<S> {
  const { success, data, error } = schema.safeParse(json)
  if (success) return data
  const { path, message } = error.issues[0]!
  throw new BackendError('rejected', `${path.join('.') || 'the request'}: ${message}`)
}

import { type Units, type UnitsRule, unitsOf } from '../../../protocol/compute/units.ts'
import type { Endpoint, Model } from './backends/backend.ts'
import { badRequest } from './errors.ts'

/** What a request says that matters here; everything else is between client and backend. */
export type RequestJson = Readonly<Record<string, unknown>>

export interface LimitOptions {
  /** Where a request names no limit and the model has none. */
  defaultMaxTokens: number
  /** Where the model does not say how long its context is. */
  defaultContext: number
}

/** Tokens that templates add to what a request says. */
const TEMPLATE_TOKENS = 256

/**
 * The units that an answer may take at most, and will be charged for at most. No tokenizer makes more tokens than bytes of text, so the
 * length of the body bounds the prompt; that of an image by its URL it does not, so there the whole context counts.
 * @throws ApiError 400 for limits that are no numbers
 */
export function mostUnits(
  request: { endpoint: Endpoint; json: RequestJson; bytes: number; model: Model; rule: UnitsRule },
  { defaultMaxTokens, defaultContext }: LimitOptions,
): Units {
  const { endpoint, json, bytes, model, rule } = request
  const context = model.contextLength ?? defaultContext
  const promptTokens = hasMedia(json) ? context : Math.min(bytes + TEMPLATE_TOKENS, context)
  const completionTokens = endpoint === 'embeddings' ? 0 : completions(json) * maxTokens(json, model, defaultMaxTokens)
  return unitsOf(rule, { kind: 'tokens', promptTokens, completionTokens, cachedTokens: 0 })
}

/** No more than `most` of either: what a backend reports beyond what it was asked for is not the client's to pay. */
export function bounded({ inputUnits, outputUnits }: Units, most: Units): Units {
  const lower = (a: bigint, b: bigint): bigint => (a < b ? a : b)
  return { inputUnits: lower(inputUnits, most.inputUnits), outputUnits: lower(outputUnits, most.outputUnits) }
}

function maxTokens(json: RequestJson, model: Model, defaultMaxTokens: number): number {
  const asked = count(json, 'max_completion_tokens') ?? count(json, 'max_tokens')
  const limit = model.maxCompletionTokens ?? model.contextLength
  if (asked === undefined) return limit ?? defaultMaxTokens
  return limit === undefined ? asked : Math.min(asked, limit)
}

const completions = (json: RequestJson): number => Math.max(count(json, 'n') ?? 1, count(json, 'best_of') ?? 1, 1) * prompts(json)

/** /v1/completions takes several prompts at once, as texts or as lists of tokens. */
function prompts({ prompt }: RequestJson): number {
  return Array.isArray(prompt) && typeof prompt[0] !== 'number' ? Math.max(prompt.length, 1) : 1
}

/** Far beyond any model, and products of two of them are exact. */
const MOST = 2 ** 24

function count(json: RequestJson, name: string): number | undefined {
  const value = json[name]
  if (value === undefined || value === null) return undefined
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > MOST)
    throw badRequest(`${name} is ${JSON.stringify(value)}: expected a number of 0 or more`)
  return value as number
}

/** Parts of messages that take tokens out of proportion to their bytes. */
const MEDIA = new Set(['image_url', 'input_audio', 'file', 'video_url', 'audio_url'])

function hasMedia({ messages }: RequestJson): boolean {
  if (!Array.isArray(messages)) return false
  return messages.some(({ content } = {} as never) => Array.isArray(content) && content.some((part) => MEDIA.has(part?.type)))
}

import type { Usage } from '../../../../protocol/compute/units.ts'
import { DONE, frame } from './event-stream.ts'

export type FinishReason = 'stop' | 'length'
type TokenUsage = Extract<Usage, { kind: 'tokens' }>

/** What is the same in all parts of an answer. */
export interface AnswerHead {
  id: string
  /** Unix seconds. */
  created: number
  model: string
}

/** The shapes of OpenAI's answers to chats and to plain completions. */
export interface AnswerShape {
  whole(head: AnswerHead, text: string, reason: FinishReason, usage: TokenUsage): Uint8Array
  first(head: AnswerHead): string
  piece(head: AnswerHead, text: string): string
  last(head: AnswerHead, reason: FinishReason): string
  usage(head: AnswerHead, usage: TokenUsage): string
}

export const usageJson = ({ promptTokens, completionTokens, cachedTokens }: TokenUsage) => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
  ...(cachedTokens > 0 && { prompt_tokens_details: { cached_tokens: cachedTokens } }),
})

const encoded = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
const event = (value: unknown): string => frame(JSON.stringify(value))
export const END = frame(DONE)

const chatChunk = ({ id, created, model }: AnswerHead, choices: unknown[], more = {}) =>
  event({ id, object: 'chat.completion.chunk', created, model, choices, ...more })
const chatDelta = (head: AnswerHead, delta: object, reason: FinishReason | null = null) =>
  chatChunk(head, [{ index: 0, delta, logprobs: null, finish_reason: reason }])

export const CHAT: AnswerShape = {
  whole: ({ id, created, model }, content, reason, usage) =>
    encoded({
      id,
      object: 'chat.completion',
      created,
      model,
      choices: [{ index: 0, message: { role: 'assistant', content, refusal: null }, logprobs: null, finish_reason: reason }],
      usage: usageJson(usage),
    }),
  first: (head) => chatDelta(head, { role: 'assistant', content: '' }),
  piece: (head, content) => chatDelta(head, { content }),
  last: (head, reason) => chatDelta(head, {}, reason),
  usage: (head, usage) => chatChunk(head, [], { usage: usageJson(usage) }),
}

const textChunk = ({ id, created, model }: AnswerHead, choices: unknown[], more = {}) =>
  event({ id, object: 'text_completion', created, model, choices, ...more })
const textPiece = (head: AnswerHead, text: string, reason: FinishReason | null = null) =>
  textChunk(head, [{ index: 0, text, logprobs: null, finish_reason: reason }])

export const COMPLETION: AnswerShape = {
  whole: ({ id, created, model }, text, reason, usage) =>
    encoded({ id, object: 'text_completion', created, model, choices: [{ index: 0, text, logprobs: null, finish_reason: reason }], usage: usageJson(usage) }),
  first: () => '',
  piece: (head, text) => textPiece(head, text),
  last: (head, reason) => textPiece(head, '', reason),
  usage: (head, usage) => textChunk(head, [], { usage: usageJson(usage) }),
}

import { z } from 'zod'
import type { Usage } from '../../../../protocol/compute/units.ts'
import { BackendError, type Endpoint } from './backend.ts'

const count = z.int().min(0)
const cached = z.object({ cached_tokens: count.nullish() }).nullish()
const tokens = z
  .object({ prompt_tokens: count, completion_tokens: count.nullish(), prompt_tokens_details: cached })
  .transform(({ prompt_tokens, completion_tokens, prompt_tokens_details }) =>
    tokenUsage(prompt_tokens, completion_tokens, prompt_tokens_details?.cached_tokens),
  )
const newerTokens = z
  .object({ input_tokens: count, output_tokens: count.nullish(), input_tokens_details: cached })
  .transform(({ input_tokens, output_tokens, input_tokens_details }) => tokenUsage(input_tokens, output_tokens, input_tokens_details?.cached_tokens))
const duration = z.object({ type: z.literal('duration'), seconds: z.number().min(0) }).transform(({ seconds }): Usage => ({ kind: 'seconds', seconds }))
const reported = z.union([duration, tokens, newerTokens])

const tokenUsage = (promptTokens: number, completionTokens?: number | null, cachedTokens?: number | null): Usage => ({
  kind: 'tokens',
  promptTokens,
  completionTokens: completionTokens ?? 0,
  // Some servers count a cached prefix that is longer than the prompt by a token of their own.
  cachedTokens: Math.min(cachedTokens ?? 0, promptTokens),
})

/** Usage as an OpenAI-compatible server reports it, in either of the two namings. @throws BackendError no-usage */
export function usageOf(usage: unknown): Usage {
  const { success, data } = reported.safeParse(usage)
  if (!success) throw new BackendError('no-usage', `the backend does not say what the answer took: usage is ${JSON.stringify(usage)?.slice(0, 200)}`)
  return data
}

/** What a complete answer took: images are counted, everything else is reported. @throws BackendError no-usage */
export function usageOfAnswer(endpoint: Endpoint, answer: Readonly<Record<string, unknown>>): Usage {
  if (!endpoint.startsWith('images/')) return usageOf(answer.usage)
  if (!Array.isArray(answer.data)) throw new BackendError('no-usage', 'the backend answered without images')
  return { kind: 'images', images: answer.data.length }
}

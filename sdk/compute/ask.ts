import { createParser } from 'eventsource-parser'
import { Agent, request } from 'undici'
import { z } from 'zod'
import { bodyHash } from '../../protocol/compute/receipt-text.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { readError } from '../http.ts'
import type { Provider } from './providers.ts'

/** A model may think for long before it says the first word, and pause for long; both bounds are in milliseconds. */
const agent = new Agent({ connect: { timeout: 5_000 }, headersTimeout: 300_000, bodyTimeout: 120_000 })

/** A chat completion as OpenAI defines it; fields beyond these are passed on as they are. */
export interface ChatRequest {
  model?: string
  messages: { role: string; content: unknown }[]
  stream?: boolean
  [field: string]: unknown
}

/** An answer, with the very bytes that were sent and received: what it is verified by. */
export interface Answer {
  /** Names the answer at its provider. */
  id: string
  provider: string
  url: string
  model: string
  user: string
  requestBody: Uint8Array
  responseBody: Uint8Array
  /** SHA-256 of the two, hex. */
  requestHash: string
  responseHash: string
  content: string
  usage?: Usage
}

/** What a response says it used; providers charge by it. */
export const Usage = z.object({
  prompt_tokens: z.number(),
  completion_tokens: z.number(),
  prompt_tokens_details: z.object({ cached_tokens: z.number().optional() }).nullish(),
})
export type Usage = z.infer<typeof Usage>

const Completion = z.looseObject({
  choices: z.array(z.looseObject({ message: z.looseObject({ content: z.string().nullish() }) })),
  usage: Usage.nullish(),
})
const Chunk = z.looseObject({
  choices: z.array(z.looseObject({ delta: z.looseObject({ content: z.string().nullish() }) })).default([]),
  usage: Usage.nullish(),
  error: z.looseObject({ message: z.string() }).optional(),
})

export interface AskOptions {
  /** Whose account pays. */
  user: string
  /** The value of the Authorization header: a session or an API key of that user, see `bearerFor`. */
  bearer: string
  /** Told of every piece of a streamed answer as it comes. */
  onText?: ((text: string) => void) | undefined
  signal?: AbortSignal | undefined
}

/**
 * Asks a provider and keeps the bytes both ways.
 * @throws PerigeeError NETWORK when it can't be reached or breaks off, REMOTE when it refuses or answers something else than a completion.
 */
export async function ask(provider: Provider, chat: ChatRequest, { user, bearer, onText, signal }: AskOptions): Promise<Answer> {
  const requestBody = new TextEncoder().encode(JSON.stringify({ ...chat, model: chat.model ?? provider.model }))
  const url = `${provider.url}/v1/proxy/chat/completions`
  const response = await request(url, {
    method: 'POST',
    headers: { authorization: bearer, 'content-type': 'application/json', 'accept-encoding': 'identity' },
    body: requestBody,
    signal: signal ?? null,
    dispatcher: agent,
  }).catch((error) => {
    if (signal?.aborted) throw error
    throw new PerigeeError('NETWORK', `${provider.url} cannot be reached: ${reasonOf(error)}`, { cause: error })
  })
  if (response.statusCode !== 200) throw new PerigeeError('REMOTE', `${provider.url} refused: ${await readError(response)}`, hintFor(response.statusCode))
  const id = response.headers['zg-res-key']
  if (typeof id !== 'string') throw new PerigeeError('REMOTE', `${provider.url} gave its answer no id`)
  const reader = chat.stream ? streamReader(onText) : undefined
  const pieces: Buffer[] = []
  try {
    for await (const piece of response.body as AsyncIterable<Buffer>) {
      pieces.push(piece)
      reader?.feed(piece)
    }
  } catch (error) {
    if (signal?.aborted || error instanceof PerigeeError) throw error
    throw new PerigeeError('NETWORK', `${provider.url} broke off its answer: ${reasonOf(error)}`, { cause: error })
  }
  const responseBody = Buffer.concat(pieces)
  const { content, usage } = reader?.end() ?? readCompletion(responseBody, provider.url)
  return {
    id,
    provider: provider.address,
    url: provider.url,
    model: chat.model ?? provider.model,
    user,
    requestBody,
    responseBody,
    requestHash: bodyHash(requestBody),
    responseHash: bodyHash(responseBody),
    content,
    ...(usage && { usage }),
  }
}

function readCompletion(body: Buffer, url: string): { content: string; usage?: Usage | undefined } {
  try {
    const { choices, usage } = Completion.parse(JSON.parse(body.toString()))
    return { content: choices.map(({ message }) => message.content ?? '').join('\n'), usage: usage ?? undefined }
  } catch (cause) {
    throw new PerigeeError('REMOTE', `${url} answered with something that is no chat completion`, { cause })
  }
}

/** Puts the text of a stream of server-sent events together. */
function streamReader(onText: AskOptions['onText']) {
  let content = ''
  let usage: Usage | undefined
  const decoder = new TextDecoder()
  const parser = createParser({
    onEvent({ data }) {
      if (data === '[DONE]') return
      const chunk = Chunk.parse(JSON.parse(data))
      if (chunk.error) throw new PerigeeError('REMOTE', `the provider ended its answer: ${chunk.error.message}`)
      const text = chunk.choices.map(({ delta }) => delta.content ?? '').join('')
      usage = chunk.usage ?? usage
      content += text
      if (text) onText?.(text)
    },
  })
  return {
    feed: (piece: Uint8Array) => parser.feed(decoder.decode(piece, { stream: true })),
    end: () => ({ content, usage }),
  }
}

function hintFor(status: number): { wayOut?: string } {
  if (status === 401) return { wayOut: 'Has the account been opened at this provider? `perigee compute deposit <amount> --provider <address>` opens it.' }
  if (status === 402) return { wayOut: 'Add money with `perigee compute deposit <amount> --provider <address>`.' }
  return {}
}

import pRetry, { AbortError } from 'p-retry'
import { Agent, type Dispatcher, request } from 'undici'
import { PerigeeError, reasonOf } from './errors.ts'

/** Sockets kept per server. Segments travel one per socket at a time, so this also bounds what one server is sent at once. */
const CONNECTIONS = 16
/** A server that accepts a connection must also start to answer; both bounds are in milliseconds. */
const CONNECT_TIMEOUT = 5_000
const ANSWER_TIMEOUT = 30_000

/** Retries of one request: 0.2, 0.4, 0.8 s apart, then the error is the caller's. */
const RETRIES = 3

const agent = new Agent({ connections: CONNECTIONS, connect: { timeout: CONNECT_TIMEOUT }, headersTimeout: ANSWER_TIMEOUT, bodyTimeout: ANSWER_TIMEOUT })

export interface HttpOptions {
  method?: 'GET' | 'PUT' | 'POST'
  body?: Uint8Array | string
  headers?: Record<string, string>
  signal?: AbortSignal | undefined
  retries?: number
  /** What connects; by default one that all requests share. */
  dispatcher?: Dispatcher
}

export type HttpResponse = Dispatcher.ResponseData

/**
 * One request, repeated while the server cannot be reached or says it is busy (429, 503).
 * Any other answer, good or bad, is the caller's to read; its body must be consumed.
 * @throws PerigeeError NETWORK when no answer came.
 */
export async function http(
  url: string,
  { method = 'GET', body, headers, signal, retries = RETRIES, dispatcher = agent }: HttpOptions = {},
): Promise<HttpResponse> {
  const attempt = async (): Promise<HttpResponse> => {
    signal?.throwIfAborted()
    const response = await request(url, { method, body: body ?? null, headers: headers ?? {}, signal: signal ?? null, dispatcher }).catch((error) => {
      if (signal?.aborted) throw new AbortError(error as Error)
      throw new PerigeeError('NETWORK', `${new URL(url).origin} cannot be reached: ${reasonOf(error)}`, { cause: error })
    })
    if (response.statusCode !== 429 && response.statusCode !== 503) return response
    throw new PerigeeError('NETWORK', `${new URL(url).origin} is busy: ${await readError(response)}`)
  }
  return pRetry(attempt, { retries, minTimeout: 200, factor: 2, ...(signal ? { signal } : {}) })
}

/** The reason inside an error answer: `message` of a JSON body, or the text itself. Consumes the body. */
export async function readError(response: HttpResponse): Promise<string> {
  const text = await response.body.text().catch(() => '')
  try {
    const body = JSON.parse(text) as { message?: string; error?: string | { message?: string } }
    const reason = body.message ?? (typeof body.error === 'string' ? body.error : body.error?.message)
    if (reason) return `${reason} (HTTP ${response.statusCode})`
  } catch {
    // not JSON: the text is the reason
  }
  return text.trim() ? `${text.trim().slice(0, 200)} (HTTP ${response.statusCode})` : `HTTP ${response.statusCode}`
}

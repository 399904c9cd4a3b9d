import { createJSONRPCRequest, type JSONRPCErrorResponse } from 'json-rpc-2.0'
import type { Dispatcher } from 'undici'
import type { ZodType } from 'zod'
import { PerigeeError } from './errors.ts'
import { http, readError } from './http.ts'

/** Code of a method the server does not have (JSON-RPC 2.0). */
const METHOD_NOT_FOUND = -32601

/** An error object that a JSON-RPC server answered with. */
export class RemoteError extends PerigeeError {
  override name = 'RemoteError'
  readonly rpcCode: number
  readonly data: unknown

  constructor(url: string, method: string, rpcCode: number, message: string, data: unknown) {
    super('REMOTE', `${method} was refused by ${url}: ${message}`, { details: [`code ${rpcCode}${data === undefined ? '' : `, ${JSON.stringify(data)}`}`] })
    this.rpcCode = rpcCode
    this.data = data
  }

  get methodNotFound(): boolean {
    return this.rpcCode === METHOD_NOT_FOUND
  }
}

export interface CallOptions {
  signal?: AbortSignal | undefined
  retries?: number
  dispatcher?: Dispatcher
}

/** A JSON-RPC 2.0 endpoint over HTTP whose answers are checked against a schema. */
export class JsonRpc {
  readonly url: string

  constructor(url: string) {
    if (!URL.canParse(url)) throw new PerigeeError('USAGE', `not a URL: ${url}`, { wayOut: 'Write it as http://host:port.' })
    this.url = url
  }

  /** @throws RemoteError when the server answers with an error; PerigeeError NETWORK when it does not answer, or not with what `result` describes. */
  async call<T>(method: string, params: unknown[], result: ZodType<T>, options: CallOptions = {}): Promise<T> {
    const body = JSON.stringify(createJSONRPCRequest(1, method, params))
    const response = await http(this.url, { method: 'POST', body, headers: { 'content-type': 'application/json' }, ...options })
    if (response.statusCode < 200 || response.statusCode > 299)
      throw new PerigeeError('NETWORK', `${this.url} answered ${method} with ${await readError(response)}`)
    const answer = (await response.body.json().catch((error) => {
      if (options.signal?.aborted) throw error
      throw new PerigeeError('NETWORK', `${this.url} broke off while answering ${method}`, { cause: error })
    })) as Partial<JSONRPCErrorResponse> & { result?: unknown }
    if (answer.error) throw new RemoteError(this.url, method, answer.error.code, answer.error.message, answer.error.data)
    const parsed = result.safeParse(answer.result)
    if (parsed.success) return parsed.data
    const issue = parsed.error.issues[0]!
    throw new PerigeeError('NETWORK', `${this.url} answered ${method} with something unexpected`, {
      details: [`${issue.path.join('.') || 'result'}: ${issue.message}`],
      cause: parsed.error,
    })
  }
}

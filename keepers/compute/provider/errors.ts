/** What a client is told when there is no answer. Under /v1/proxy in OpenAI's shape, elsewhere as `{ "error": "text" }`. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** HTTP status. */
  readonly status: number
  readonly type: string
  readonly code: string
  /** Seconds after which another try makes sense. */
  readonly retryAfter: number | undefined

  constructor(status: number, code: string, message: string, options: { retryAfter?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.status = status
    this.code = code
    this.type = typeOf(status)
    this.retryAfter = options.retryAfter
  }

  /** As OpenAI writes errors. */
  get body(): OpenAiError {
    return { error: { message: this.message, type: this.type, param: null, code: this.code } }
  }
}

export interface OpenAiError {
  error: { message: string; type: string; param: null; code: string }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 402) return 'insufficient_quota'
  if (status === 403) return 'permission_error'
  if (status === 429) return 'rate_limit_error'
  return status < 500 ? 'invalid_request_error' : 'server_error'
}

export const badRequest = (message: string): ApiError => new ApiError(400, 'invalid_request', message)
export const unauthorized = (code: string, message: string): ApiError => new ApiError(401, code, message)
/** @param retryAfter seconds */
export const unavailable = (message: string, retryAfter: number, cause?: unknown): ApiError => new ApiError(503, 'unavailable', message, { retryAfter, cause })

/** The backend failed: the client pays nothing. `cause` is for the log only, it may name what is not the client's business. */
export const upstreamFailed = (message: string, cause?: unknown): ApiError => new ApiError(502, 'upstream_error', `${message}; you are not charged`, { cause })

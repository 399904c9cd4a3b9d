/** An error in OpenAI's shape; what its clients turn into their own. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  /** HTTP status. */
  readonly status: number
  readonly code: string
  /** Seconds after which another try makes sense. */
  readonly retryAfter: number | undefined

  constructor(status: number, code: string, message: string, retryAfter?: number) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }

  get body(): { error: { message: string; type: string; param: null; code: string } } {
    const { message, code } = this
    return { error: { message, type: typeOf(this.status), param: null, code } }
  }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 402) return 'insufficient_quota'
  if (status === 429) return 'rate_limit_error'
  return status < 500 ? 'invalid_request_error' : 'server_error'
}

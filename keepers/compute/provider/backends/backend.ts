import type { ModelSpec } from '../../../../protocol/compute/spec.ts'
import type { Usage } from '../../../../protocol/compute/units.ts'

/** The OpenAI endpoints that a backend may serve, as paths below /v1. */
export type Endpoint = 'chat/completions' | 'completions' | 'embeddings' | 'images/generations' | 'images/edits' | 'audio/transcriptions'

export interface Model {
  /** As requests name it. */
  id: string
  endpoints: readonly Endpoint[]
  spec: ModelSpec
  /** Tokens of prompt and answer together, where known. */
  contextLength?: number | undefined
  /** Tokens of an answer at most, where known. */
  maxCompletionTokens?: number | undefined
  /** For listings. */
  ownedBy?: string | undefined
}

export interface BackendRequest {
  endpoint: Endpoint
  /** One of `models()`. */
  model: string
  contentType: string
  /** The request's body as it came in. */
  body: Uint8Array
  /** The same, parsed, where it is JSON; never changed. */
  json?: Readonly<Record<string, unknown>> | undefined
  /** The client asked for server-sent events. */
  stream: boolean
}

/** An answer under way; its head has come. */
export interface BackendResponse {
  /** Always a success: everything else is a BackendError. */
  status: number
  contentType: string
  /**
   * The bytes for the client, as they are to be delivered; to be read once, to the end. Ends with a BackendError when the answer is incomplete.
   * Breaking off cancels the work.
   */
  body: AsyncIterable<Uint8Array>
  /** What the answer took, once the body has ended. @throws BackendError no-usage */
  usage(): Usage
  /** Of the sampler; 0 when it was not set. */
  seed: bigint
}

export interface Backend {
  readonly kind: 'upstream' | 'gguf' | 'tuned' | 'extractive'
  models(): Promise<readonly Model[]>
  /** @throws BackendError */
  complete(request: BackendRequest, signal: AbortSignal): Promise<BackendResponse>
  /** Why it can't answer now, or undefined. */
  problem(): string | undefined
  close(): Promise<void>
}

/**
 * rejected      the request is not one that the model can answer; the message is for the client
 * unsupported   the model does not serve this endpoint
 * overloaded    try again later
 * unreachable   no connection, or no answer in time
 * stalled       it began to answer and fell silent
 * died          it broke off
 * garbage       what came is not an answer
 * no-usage      it does not say what the answer took, so nothing can be charged
 * misconfigured the operator has to do something
 */
export type BackendFault = 'rejected' | 'unsupported' | 'overloaded' | 'unreachable' | 'stalled' | 'died' | 'garbage' | 'no-usage' | 'misconfigured'

const STATUS: Record<BackendFault, number> = {
  rejected: 400,
  unsupported: 404,
  overloaded: 503,
  unreachable: 502,
  stalled: 504,
  died: 502,
  garbage: 502,
  'no-usage': 502,
  misconfigured: 503,
}

/** There is no answer, or only a part of one: nothing is to be charged. */
export class BackendError extends Error {
  override readonly name = 'BackendError'
  readonly code: BackendFault
  /** HTTP status for the client. */
  readonly status: number
  /** Seconds to wait before another try, where the backend said so. */
  readonly retryAfter: number | undefined

  constructor(
    code: BackendFault,
    message: string,
    { cause, status = STATUS[code], retryAfter }: { cause?: unknown; status?: number; retryAfter?: number | undefined } = {},
  ) {
    super(message, { cause })
    this.code = code
    this.status = status
    this.retryAfter = retryAfter
  }

  /** Whether the message says something to the client; of the others, only that the backend failed. */
  get forClient(): boolean {
    return this.code === 'rejected' || this.code === 'unsupported' || this.code === 'overloaded'
  }
}

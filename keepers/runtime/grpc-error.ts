import { status } from '@grpc/grpc-js'

/** What a handler throws to refuse: the caller gets code and message. Anything else is a fault of ours: logged, and INTERNAL to the caller. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError'
  readonly code: status

  constructor(code: status, message: string) {
    super(message)
    this.code = code
  }

  /** The request is wrong, whatever state we are in. */
  static invalidArgument(message: string): GrpcError {
    return new GrpcError(status.INVALID_ARGUMENT, message)
  }

  static notFound(message: string): GrpcError {
    return new GrpcError(status.NOT_FOUND, message)
  }

  /** The disk, a quota, or a limit on work under way. */
  static resourceExhausted(message: string): GrpcError {
    return new GrpcError(status.RESOURCE_EXHAUSTED, message)
  }

  /** The request may be right, but not in the state we are in; repeating it alone does not help. */
  static failedPrecondition(message: string): GrpcError {
    return new GrpcError(status.FAILED_PRECONDITION, message)
  }

  /** Try again in a moment. */
  static unavailable(message: string): GrpcError {
    return new GrpcError(status.UNAVAILABLE, message)
  }
}

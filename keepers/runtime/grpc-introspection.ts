import type { Server, ServerWritableStream, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation } from 'grpc-health-check'
import type { GrpcService } from './grpc-handler.ts'

/** How often those who watch the health learn of a change. */
const HEALTH_MS = 1000

export interface Health {
  addTo(server: Server): void
  /** From now on watchers are told. */
  start(): void
}

/** grpc.health.v1 for the server as a whole ("") and each service by name: all of them follow `ready`, and nothing serves once `closing`. */
export function healthOf(services: readonly string[], ready: () => Promise<string | undefined>, closing: AbortSignal): Health {
  const health = new HealthImplementation()
  const watchers = new Set<ServerWritableStream<unknown, unknown>>()
  let last: string | undefined
  const refresh = async () => {
    const reason = closing.aborted ? 'closing' : await ready().catch((error: Error) => error.message)
    const status = reason === undefined && !closing.aborted ? 'SERVING' : 'NOT_SERVING'
    if (status === last) return
    last = status
    for (const service of ['', ...services]) health.setStatus(service, status)
  }
  const withFreshStatus = (definition: ServiceDefinition, { check, watch, list }: UntypedServiceImplementation) => {
    const whenFresh =
      (handler: any) =>
      (...call: unknown[]): void =>
        void refresh().then(() => handler(...call))
    const watching = (call: ServerWritableStream<unknown, unknown>) => {
      watchers.add(call)
      call.once('cancelled', () => watchers.delete(call))
      ;(watch as (call: unknown) => void)(call)
    }
    return [definition, { check: whenFresh(check), watch: whenFresh(watching), list: whenFresh(list) }] as const
  }
  return {
    addTo: (server) =>
      health.addToServer({ addService: (definition, handlers) => server.addService(...withFreshStatus(definition as never, handlers as never)) }),
    start() {
      const timer = setInterval(() => void refresh(), HEALTH_MS)
      timer.unref()
      closing.addEventListener(
        'abort',
        () => {
          clearInterval(timer)
          // Their calls would hold up the closing of the server.
          void refresh().then(() => watchers.forEach((call) => void call.end()))
        },
        { once: true },
      )
    },
  }
}

/** Reflection of the given services, from what their definitions carry of their proto files. */
export function reflectionOf(services: readonly GrpcService[], names: readonly string[]): ReflectionService {
  const methods = services.flatMap(({ definition }) => Object.values(definition))
  const types = methods.flatMap((method) => {
    const { requestType, responseType } = method as unknown as Record<'requestType' | 'responseType', never>
    return [requestType, responseType]
  })
  return new ReflectionService(Object.fromEntries(types.entries()), { services: [...names] })
}

import { ConfigError } from '../../runtime/config.ts'
import type { Backend } from './backends/backend.ts'
import { createExtractive } from './backends/extractive.ts'
import { createUpstream } from './backends/upstream.ts'
import type { Config } from './config.ts'

/** What answers, as configured. @throws ConfigError when something is missing */
export function openBackend(config: Config): Backend {
  const { backend, upstreamUrl: url, upstreamKey: key, models, spec, connectMs: connect, firstByteMs: firstByte, stallMs: idle } = config
  if (backend === 'extractive') return createExtractive()
  if (url === undefined) throw new ConfigError(['upstreamUrl is missing: set --upstream-url or UPSTREAM_URL to the base URL of an OpenAI-compatible server'])
  return createUpstream({ url, key, models, spec, timeouts: { connect, firstByte, idle } })
}

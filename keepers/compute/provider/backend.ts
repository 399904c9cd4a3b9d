import { ConfigError } from '../../runtime/config.ts'
import type { Log } from '../../runtime/log.ts'
import type { Backend } from './backends/backend.ts'
import { createExtractive } from './backends/extractive.ts'
import { createGguf } from './backends/gguf.ts'
import { createTuned } from './backends/tuned.ts'
import { createUpstream } from './backends/upstream.ts'
import type { Config } from './config.ts'

type BackendConfig = Pick<Config, 'backend' | 'upstreamUrl' | 'upstreamKey' | 'gguf' | 'tuned' | 'models' | 'spec' | 'connectMs' | 'firstByteMs' | 'stallMs'>

/** What answers, as configured. @throws ConfigError when something is missing */
export async function openBackend(config: BackendConfig, log: Log): Promise<Backend> {
  const { backend, upstreamUrl: url, upstreamKey: key, gguf, tuned, models, spec, connectMs: connect, firstByteMs: firstByte, stallMs: idle } = config
  if (backend === 'extractive') return createExtractive()
  if (backend === 'gguf') {
    if (gguf === undefined) throw new ConfigError(['gguf is missing: set --gguf or GGUF to the file of the model'])
    return createGguf({ path: gguf, log })
  }
  if (backend === 'tuned') {
    if (tuned === undefined) throw new ConfigError(['tuned is missing: set --tuned or TUNED to the file of the model'])
    return createTuned(tuned)
  }
  if (url === undefined) throw new ConfigError(['upstreamUrl is missing: set --upstream-url or UPSTREAM_URL to the base URL of an OpenAI-compatible server'])
  return createUpstream({ url, key, models, spec, timeouts: { connect, firstByte, idle } })
}

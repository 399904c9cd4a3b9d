import type { ModelSpec } from '../../../../protocol/compute/spec.ts'
import { ConfigError } from '../../../runtime/config.ts'
import type { Log } from '../../../runtime/log.ts'
import type { Backend } from './backend.ts'
import { createExtractive } from './extractive.ts'
import { createGguf } from './gguf.ts'
import { createUpstream } from './upstream.ts'

/** What of the provider's configuration says who answers. */
export interface BackendConfig {
  backend: 'upstream' | 'gguf' | 'extractive'
  upstreamUrl?: string | undefined
  upstreamKey?: string | undefined
  gguf?: string | undefined
  models: readonly string[]
  spec?: string | undefined
  /** In ms. */
  deadlineMs: number
  stallMs: number
}

const CONNECT_MS = 5000
const SPEC_KEYS = ['weights', 'tokenizer', 'template', 'engine', 'dtype'] as const

/** @throws ConfigError when what the chosen backend needs is missing */
export async function openBackend(config: BackendConfig, log: Log): Promise<Backend> {
  const { backend, upstreamUrl, upstreamKey, gguf, models, spec, deadlineMs, stallMs } = config
  if (backend === 'extractive') return createExtractive()
  if (backend === 'gguf') {
    if (gguf === undefined) throw new ConfigError(['the backend is gguf and no file is named: set --gguf or GGUF'])
    return createGguf({ path: gguf, log })
  }
  if (upstreamUrl === undefined) throw new ConfigError(['the backend is upstream and none is named: set --upstream-url or UPSTREAM_URL'])
  return createUpstream({
    url: upstreamUrl,
    key: upstreamKey,
    models,
    spec: spec === undefined ? undefined : parseSpec(spec),
    timeouts: { connect: CONNECT_MS, firstByte: deadlineMs, idle: stallMs },
  })
}

/** "weights=sha256:…,engine=vllm 0.9,dtype=bf16": what the operator answers for. @throws ConfigError */
export function parseSpec(text: string): Partial<ModelSpec> {
  const pairs = text.split(',').map((pair) => {
    const [key, ...value] = pair.split('=')
    if (!SPEC_KEYS.includes(key?.trim() as keyof ModelSpec) || value.length === 0) {
      throw new ConfigError([`spec has "${pair}": expected ${SPEC_KEYS.join('=…,')}=…`])
    }
    return [key!.trim(), value.join('=').trim()]
  })
  return Object.fromEntries(pairs)
}

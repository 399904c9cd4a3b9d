import { expect } from 'chai'
import { openBackend } from '../../../keepers/compute/provider/backend.ts'
import { ConfigError } from '../../../keepers/runtime/config.ts'
import { createLog } from '../../../keepers/runtime/log.ts'

const log = createLog({ name: 'test', level: 'silent' })
const config = { models: [], spec: {}, connectMs: 1000, firstByteMs: 1000, stallMs: 1000 }

describe('choice of a backend', () => {
  it('is the embedded one when nothing is configured, and an upstream by its URL', async () => {
    expect((await openBackend({ ...config, backend: 'extractive' }, log)).kind).to.equal('extractive')
    const upstream = await openBackend({ ...config, backend: 'upstream', upstreamUrl: 'http://127.0.0.1:1/v1' }, log)
    expect(upstream.kind).to.equal('upstream')
    await upstream.close()
  })

  it('says what is missing', async () => {
    for (const [backend, message] of [
      ['upstream', /UPSTREAM_URL/],
      ['gguf', /GGUF/],
    ] as const) {
      const error = await openBackend({ ...config, backend }, log).catch((reason) => reason)
      expect(error).to.be.instanceOf(ConfigError)
      expect(error.message).to.match(message)
    }
  })
})

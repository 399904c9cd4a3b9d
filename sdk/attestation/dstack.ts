import { Agent, request } from 'undici'
import { z } from 'zod'
import { parseQuote } from '../../protocol/attestation/quote.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { readEvidence } from './evidence.ts'
import { REPORT_DATA_LENGTH, type Tee } from './tee.ts'

/** Quoting asks the machine's firmware, which takes seconds when many ask. */
const TIMEOUT_MS = 30_000

const Key = z.object({ key: z.string().regex(/^(0x)?[0-9a-fA-F]{64}$/, 'expected 32 bytes in hex') })
const Quote = z.looseObject({ quote: z.string() })
const Info = z.looseObject({ tcb_info: z.unknown() })

/** The TEE of a dstack machine, through its guest agent. @param endpoint path of the agent's socket, or a URL. */
export function dstackTee(endpoint: string): Tee {
  const remote = /^https?:/.test(endpoint)
  const agent = new Agent({ ...(remote ? {} : { connect: { socketPath: endpoint } }), headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS })
  const base = remote ? endpoint.replace(/\/$/, '') : 'http://dstack'

  async function ask<T>(method: string, parameters: object, answer: z.ZodType<T>): Promise<T> {
    const failed = (reason: string, cause?: unknown) =>
      new PerigeeError('REMOTE', `the dstack agent at ${endpoint} did not answer ${method}: ${reason}`, {
        wayOut: 'Map /var/run/dstack.sock into the container (dstack OS 0.5 or newer).',
        cause,
      })
    const response = await request(`${base}/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(parameters),
      dispatcher: agent,
    }).catch((error) => {
      throw failed(reasonOf(error), error)
    })
    const text = await response.body.text().catch((error) => {
      throw failed(reasonOf(error), error)
    })
    if (response.statusCode !== 200) throw failed(`HTTP ${response.statusCode}, ${text.slice(0, 200)}`)
    try {
      return answer.parse(JSON.parse(text))
    } catch (error) {
      throw failed('not in the shape of this API', error)
    }
  }

  return {
    kind: 'dstack',
    async key(path) {
      const { key } = await ask('GetKey', { path, purpose: 'perigee' }, Key)
      return new Uint8Array(Buffer.from(key.replace(/^0x/, ''), 'hex'))
    },
    async quote(reportData) {
      if (reportData.length !== REPORT_DATA_LENGTH) throw new RangeError(`report data of ${reportData.length} bytes: expected ${REPORT_DATA_LENGTH}`)
      const [document, info] = await Promise.all([ask('GetQuote', { report_data: Buffer.from(reportData).toString('hex') }, Quote), ask('Info', {}, Info)])
      const evidence = readEvidence({ ...document, tcb_info: info.tcb_info })
      if (!Buffer.from(parseQuote(evidence.quote).reportData).equals(reportData)) {
        throw new PerigeeError('VERIFICATION_FAILED', `the dstack agent at ${endpoint} quoted other data than it was given`)
      }
      return evidence
    },
  }
}

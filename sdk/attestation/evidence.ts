import { z } from 'zod'
import { PerigeeError } from '../errors.ts'
import type { Evidence } from './tee.ts'

/** Some agents nest JSON, others carry it as text: here it is always text. */
const JsonText = z
  .union([z.string(), z.array(z.unknown()), z.record(z.string(), z.unknown())])
  .transform((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
const Hex = z.string().regex(/^(0x)?([0-9a-fA-F]{2})+$/, 'expected bytes in hex')

const Document = z.object({
  quote: Hex,
  event_log: JsonText.default('[]'),
  vm_config: JsonText.default('{}'),
  tcb_info: JsonText.optional(),
  info: z.looseObject({ tcb_info: JsonText.optional() }).optional(),
})

/** Evidence in the shape of dstack's GetQuote, with `tcb_info`: what a provider serves at /v1/quote. */
export function evidenceDocument({ quote, eventLog, tcbInfo, vmConfig }: Evidence, reportData: Uint8Array): Record<string, string> {
  return {
    quote: Buffer.from(quote).toString('hex'),
    event_log: eventLog,
    report_data: Buffer.from(reportData).toString('base64'),
    vm_config: vmConfig,
    tcb_info: tcbInfo,
  }
}

/** Reads what `evidenceDocument` makes. @throws PerigeeError VERIFICATION_FAILED when it is something else. */
export function readEvidence(document: unknown): Evidence {
  const parsed = Document.safeParse(document)
  if (!parsed.success) {
    throw new PerigeeError('VERIFICATION_FAILED', 'what was given as evidence is none', {
      details: parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'document'}: ${message}`),
    })
  }
  const { quote, event_log, vm_config, tcb_info, info } = parsed.data
  return {
    quote: new Uint8Array(Buffer.from(quote.replace(/^0x/, ''), 'hex')),
    eventLog: event_log,
    tcbInfo: tcb_info ?? info?.tcb_info ?? '{}',
    vmConfig: vm_config,
  }
}

/**
 * The log behind the runtime measurements of a trust domain that dstack started: what was measured, in the order in which it was. Replaying it
 * must give the RTMRs of the quote, which makes the log as trustworthy as the quote. Source: dstack, "Attestation guide".
 *
 *   RTMR ← SHA-384(RTMR ‖ digest), from zeros
 *   digest of a runtime event = SHA-384(type u32 little-endian ‖ ":" ‖ name ‖ ":" ‖ payload)
 *
 * RTMR0–2 measure firmware, kernel and initial file system; their payloads only describe what was hashed. RTMR3 holds runtime events, whose
 * payloads are hashed themselves: which application (hash of its compose file), which instance, which key provider.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { EvidenceError } from './evidence-error.ts'
import type { Quote } from './quote.ts'
import { Audit, type Findings } from './verdict.ts'

export class EventLogError extends EvidenceError {
  override name = 'EventLogError'
}

export interface TeeEvent {
  /** Which RTMR it went into. */
  imr: number
  type: number
  /** Empty for what firmware measures. */
  name: string
  payload: Uint8Array
  /** SHA-384. */
  digest: Uint8Array
}

export interface EventLogEvidence {
  /** As dstack hands it out: JSON, or what that parses to. */
  eventLog: unknown
  /** Text of the compose file, if the reader wants to know that this is what runs. */
  appCompose?: string
}

export interface EventLogFindings extends Findings {
  /** Hex of the SHA-256 of the compose file. */
  composeHash?: string
  /** All runtime events by name, payloads in hex: not to be believed unless `ok`. */
  runtime: Record<string, string>
}

const RUNTIME_EVENT = 0x0800_0001
const RUNTIME_RTMR = 3
const COMPOSE_HASH = 'compose-hash'
/** First byte of an MRCONFIGID whose next 32 bytes are the hash of the compose file. */
const MRCONFIGID_COMPOSE = 1
const MAX_EVENTS = 4096

const bytes = z
  .string()
  .regex(/^(?:[0-9a-f]{2})*$/i)
  .transform((text): Uint8Array => Buffer.from(text, 'hex'))
const eventLogSchema = z
  .array(
    z.object({
      imr: z.int().min(0).max(3),
      event_type: z.int().min(0).max(0xffff_ffff),
      digest: bytes.refine((digest) => digest.length === 48, 'not 48 bytes'),
      event: z.string(),
      event_payload: bytes,
    }),
  )
  .max(MAX_EVENTS)

/** Reads a log. Throws EventLogError. */
export function parseEventLog(log: unknown): TeeEvent[] {
  const parsed = eventLogSchema.safeParse(typeof log === 'string' ? parseJson(log) : log)
  if (!parsed.success) throw new EventLogError(`not an event log: ${z.prettifyError(parsed.error)}`)
  return parsed.data.map(({ imr, event_type, digest, event, event_payload }) => ({ imr, type: event_type, name: event, payload: event_payload, digest }))
}

/** RTMR0–3 after these events. */
export function replay(events: TeeEvent[]): Uint8Array[] {
  const registers = Array.from({ length: 4 }, () => Buffer.alloc(48))
  for (const { imr, digest } of events) registers[imr] = createHash('sha384').update(registers[imr]!).update(digest).digest()
  return registers
}

/** Checks a log against a quote, which must have been verified by itself. */
export function verifyEventLog(quote: Quote, { eventLog, appCompose }: EventLogEvidence): EventLogFindings {
  const audit = new Audit()
  const events = audit.check(
    'event log',
    () => parseEventLog(eventLog),
    (found) => `${found.length} events`,
  )
  const runtime = events?.filter(({ imr }) => imr === RUNTIME_RTMR) ?? []
  let composeHash: Uint8Array | undefined
  if (events) {
    audit.check(
      'RTMR replay',
      () => checkReplay(quote, events),
      () => 'RTMR0–3 are those of the quote',
    )
    audit.check(
      'runtime events',
      () => checkDigests(runtime),
      () => `${runtime.length} payloads are what was measured`,
    )
    composeHash = audit.check('compose hash', () => composeHashOf(runtime), hex)
    if (composeHash) {
      const hash = composeHash
      audit.check(
        'MRCONFIGID',
        () => checkMrConfigId(quote, hash),
        (bound) => bound,
      )
      if (appCompose !== undefined)
        audit.check(
          'compose file',
          () => checkCompose(appCompose, hash),
          () => 'has the measured hash',
        )
    }
  }
  const named = Object.fromEntries(runtime.map(({ name, payload }) => [name, hex(payload)]))
  return { ok: audit.ok, checks: audit.checks, composeHash: composeHash && hex(composeHash), runtime: named }
}

function checkReplay(quote: Quote, events: TeeEvent[]): void {
  if (quote.tee !== 'tdx') throw new EventLogError('a quote of SGX has no runtime measurements')
  const { rtMr } = quote.report
  replay(events).forEach((value, i) => {
    if (Buffer.compare(value, rtMr[i]!) !== 0) throw new EventLogError(`the log gives RTMR${i} ${hex(value)}, the quote has ${hex(rtMr[i]!)}`)
  })
}

function checkDigests(runtime: TeeEvent[]): void {
  for (const { type, name, payload, digest } of runtime) {
    if (type !== RUNTIME_EVENT) throw new EventLogError(`event "${name}" in RTMR3 has type ${type} instead of ${RUNTIME_EVENT}`)
    const prefix = Buffer.alloc(4)
    prefix.writeUInt32LE(type)
    const expected = createHash('sha384').update(prefix).update(`:${name}:`).update(payload).digest()
    if (Buffer.compare(digest, expected) !== 0) throw new EventLogError(`the payload of event "${name}" is not what was measured`)
  }
}

/** The application may add events of its own, after those of the system: a second compose hash would be one of them, so there must be one only. */
function composeHashOf(runtime: TeeEvent[]): Uint8Array {
  const found = runtime.filter(({ name }) => name === COMPOSE_HASH)
  if (found.length !== 1) throw new EventLogError(`the log has ${found.length} events "${COMPOSE_HASH}" instead of one`)
  const { payload } = found[0]!
  if (payload.length !== 32) throw new EventLogError(`the compose hash has ${payload.length} bytes instead of 32`)
  return payload
}

/** Older hosts leave MRCONFIGID zero: then RTMR3 alone names the application. */
function checkMrConfigId(quote: Quote, composeHash: Uint8Array): string {
  if (quote.tee !== 'tdx') throw new EventLogError('a quote of SGX has no MRCONFIGID')
  const { mrConfigId } = quote.report
  if (mrConfigId.every((byte) => byte === 0)) return 'zeros: the application is named by RTMR3 alone'
  const expected = Buffer.concat([Uint8Array.of(MRCONFIGID_COMPOSE), composeHash, Buffer.alloc(15)])
  if (Buffer.compare(mrConfigId, expected) !== 0) throw new EventLogError(`MRCONFIGID ${hex(mrConfigId)} is not 01 ‖ the compose hash`)
  return 'is 01 ‖ the compose hash'
}

function checkCompose(appCompose: string, composeHash: Uint8Array): void {
  const actual = createHash('sha256').update(appCompose).digest()
  if (Buffer.compare(actual, composeHash) !== 0) throw new EventLogError(`the compose file has hash ${hex(actual)}, measured was ${hex(composeHash)}`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new EventLogError('the event log is not JSON', { cause })
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

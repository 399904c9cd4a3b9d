import { createHash } from 'node:crypto'
import { keccak256 } from 'ethers'
import { parseEventLog, replay } from '../../protocol/attestation/event-log.ts'

/** What a quote of the simulated TEE says runs, and the log that explains it. */
export interface SimulatedMachine {
  mrTd: Uint8Array
  /** RTMR0 to RTMR3 */
  rtMr: [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  mrConfigId: Uint8Array
  eventLog: string
  tcbInfo: string
  vmConfig: string
}

/** dstack's type of the events it extends RTMR3 with. */
const RUNTIME_EVENT = 0x08000001
/** EV_EVENT_TAG of the TCG, which Linux measures its boot with. */
const BOOT_EVENT = 6

interface LogEntry {
  imr: number
  event_type: number
  digest: string
  event: string
  event_payload: string
}

const sha = (algorithm: 'sha256' | 'sha384', ...parts: (string | Uint8Array)[]): Buffer => {
  const hash = createHash(algorithm)
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/**
 * A dstack machine that runs `application` ("compute/provider"): instances of one application have the same measurement
 * and differ in RTMR3, as real ones do.
 */
export function simulatedMachine(application: string, instance: string): SimulatedMachine {
  const appCompose = JSON.stringify({
    manifest_version: 2,
    name: application,
    runner: 'docker-compose',
    docker_compose_file: `services:\n  keeper:\n    command: perigee keeper ${application}\n`,
    description: 'SIMULATED TEE - DEVELOPMENT ONLY',
  })
  const composeHash = sha('sha256', appCompose)
  const instanceId = sha('sha256', instance).subarray(0, 20)
  const osImageHash = sha('sha256', 'simulated operating system')
  const log = [
    ...[0, 1, 2].map((imr) => bootEvent(imr, `SIMULATED TEE boot ${imr}`)),
    runtimeEvent('system-preparing', Buffer.alloc(0)),
    runtimeEvent('app-id', composeHash.subarray(0, 20)),
    runtimeEvent('compose-hash', composeHash),
    runtimeEvent('instance-id', instanceId),
    runtimeEvent('boot-mr-done', Buffer.alloc(0)),
    runtimeEvent('os-image-hash', osImageHash),
    runtimeEvent('key-provider', Buffer.from(JSON.stringify({ name: 'simulated', id: '' }))),
    runtimeEvent('system-ready', Buffer.alloc(0)),
  ]
  const rtMr = replay(parseEventLog(log)) as SimulatedMachine['rtMr']
  const mrTd = sha('sha384', 'SIMULATED TEE firmware')
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const eventLog = JSON.stringify(log)
  return {
    mrTd,
    rtMr,
    // dstack's: version 1, the hash of the application, zeros up to 48 bytes.
    mrConfigId: Buffer.concat([Buffer.of(1), composeHash, Buffer.alloc(15)]),
    eventLog,
    tcbInfo: JSON.stringify({
      mrtd: hex(mrTd),
      rtmr0: hex(rtMr[0]),
      rtmr1: hex(rtMr[1]),
      rtmr2: hex(rtMr[2]),
      rtmr3: hex(rtMr[3]),
      os_image_hash: hex(osImageHash),
      compose_hash: hex(composeHash),
      app_compose: appCompose,
      event_log: log,
    }),
    vmConfig: JSON.stringify({ spec_version: 1, os_image_hash: hex(osImageHash), cpu_count: 2, memory_size: 2 ** 31 }),
  }
}

function bootEvent(imr: number, text: string): LogEntry {
  const payload = Buffer.from(text)
  return { imr, event_type: BOOT_EVENT, digest: sha('sha384', payload).toString('hex'), event: '', event_payload: payload.toString('hex') }
}

/** The digest covers type, name and payload, so that a replay proves each of them. */
function runtimeEvent(event: string, payload: Buffer): LogEntry {
  const type = Buffer.alloc(4)
  type.writeUInt32LE(RUNTIME_EVENT)
  const digest = sha('sha384', type, ':', event, ':', payload)
  return { imr: 3, event_type: RUNTIME_EVENT, digest: digest.toString('hex'), event, event_payload: payload.toString('hex') }
}

/** What the registry knows `application` by when it runs in a simulated TEE: keccak256(MRTD ‖ RTMR1 ‖ RTMR2 ‖ MRCONFIGID). */
export function simulatedMeasurement(application: string): string {
  const { mrTd, rtMr, mrConfigId } = simulatedMachine(application, '')
  return keccak256(Buffer.concat([mrTd, rtMr[1], rtMr[2], mrConfigId]))
}

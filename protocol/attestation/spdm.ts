/**
 * Reports of measurements as NVIDIA GPUs sign them (SPDM 1.1, DSP0274: 10.11): the request and the response, one after the other.
 *
 *   request37:  version ‖ code e0 ‖ param1 ‖ param2 ‖ nonce32 ‖ slot
 *   response:   version ‖ code 60 ‖ param1 ‖ param2 ‖ blocks u8 ‖ size u24 ‖ blocks ‖ nonce32 ‖ size u16 ‖ opaque ‖ signature96
 *   block:      index ‖ 1 (DMTF) ‖ size u16 ‖ type ‖ size u16 ‖ value
 *   opaque:     { type u16 ‖ size u16 ‖ value } …
 *
 * Integers are little-endian. The signature is over all that precedes it.
 */
import { ByteReader } from './byte-reader.ts'
import { EvidenceError } from './evidence-error.ts'

export class SpdmFormatError extends EvidenceError {
  override name = 'SpdmFormatError'
}

export interface SpdmReport {
  /** 32 bytes: what whoever asked wants to find in the answer. */
  nonce: Uint8Array
  /** By index, from 1 on. */
  measurements: Map<number, Uint8Array>
  /** What the maker adds, by type. */
  opaque: Map<number, Uint8Array>
  signedBytes: Uint8Array
  /** 96 bytes: r ‖ s on P-384. */
  signature: Uint8Array
}

const SIGNATURE_SIZE = 96
const VERSION_1_1 = 0x11
const GET_MEASUREMENTS = 0xe0
const MEASUREMENTS = 0x60
const DMTF = 1

/** Throws SpdmFormatError. The parts are views into `bytes`. */
export function parseSpdmReport(bytes: Uint8Array): SpdmReport {
  const report = new ByteReader(bytes, 'report', SpdmFormatError)
  readHead(report, GET_MEASUREMENTS, 'request')
  const nonce = report.take(32, 'nonce')
  report.u8('slot')
  readHead(report, MEASUREMENTS, 'response')
  const count = report.u8('number of measurements')
  const measurements = readBlocks(report.inside(report.u24('size of the measurements'), 'measurements'), count)
  report.take(32, 'nonce of the device')
  const opaque = readOpaque(report.inside(report.u16('size of the opaque data'), 'opaque data'))
  const signedBytes = bytes.subarray(0, report.at)
  const signature = report.take(SIGNATURE_SIZE, 'signature')
  report.end()
  return { nonce, measurements, opaque, signedBytes, signature }
}

function readHead(report: ByteReader, code: number, what: string): void {
  report.expect(report.u8('version'), VERSION_1_1, `version of the ${what}`)
  report.expect(report.u8('code'), code, `code of the ${what}`)
  report.take(2, 'parameters')
}

function readBlocks(record: ByteReader, count: number): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>()
  for (let i = 0; i < count; i++) {
    const index = record.u8('index')
    record.expect(record.u8('specification'), DMTF, `specification of measurement ${index}`)
    const block = record.inside(record.u16('size'), `measurement ${index}`)
    block.u8('type')
    const value = block.take(block.u16('size'), 'value')
    block.end()
    if (found.has(index)) throw new SpdmFormatError(`measurement ${index} occurs twice`)
    found.set(index, value)
  }
  record.end()
  return found
}

function readOpaque(data: ByteReader): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>()
  while (!data.done) {
    const type = data.u16('type')
    if (found.has(type)) throw new SpdmFormatError(`opaque field ${type} occurs twice`)
    found.set(type, data.take(data.u16('size'), `opaque field ${type}`))
  }
  return found
}

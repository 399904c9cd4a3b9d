/** Something from outside is not what the protocol of data availability allows; the message says what it is and what was expected. */
export class DaFormatError extends Error {
  override name = 'DaFormatError'
}

/** A hash in lower-case hex. @throws DaFormatError unless it is 32 bytes in hex */
export function checkHash(value: string, what: string): string {
  if (typeof value !== 'string' || !/^0x[0-9a-f]{64}$/i.test(value)) throw new DaFormatError(`${what} is ${value}: expected 32 bytes in hex`)
  return value.toLowerCase()
}

/** @throws DaFormatError unless it is a whole number from `min` to `max` */
export function checkInteger(value: number, min: number, max: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < min || value > max) throw new DaFormatError(`${what} is ${value}: expected a whole number from ${min} to ${max}`)
  return value
}

/** @throws DaFormatError unless it has `length` bytes */
export function checkLength(bytes: Uint8Array, length: number, what: string): Uint8Array {
  if (bytes.length !== length) throw new DaFormatError(`${what} has ${bytes.length} bytes: expected ${length}`)
  return bytes
}

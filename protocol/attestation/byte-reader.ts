/** Reads little-endian fields forward, and never past the end. */
export class ByteReader {
  /** Bytes read so far. */
  at = 0
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #what: string
  readonly #Failure: new (
    message: string,
  ) => Error

  /** `what` is being read; what is wrong with it is thrown as `Failure`. */
  constructor(bytes: Uint8Array, what: string, Failure: new (message: string) => Error) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
    this.#Failure = Failure
  }

  get done(): boolean {
    return this.at === this.#bytes.length
  }

  /** A view of the next `size` bytes. */
  take(size: number, what: string): Uint8Array {
    const left = this.#bytes.length - this.at
    if (size > left) throw new this.#Failure(`the ${this.#what} is cut short: ${what} has ${size} bytes, ${left} are left`)
    this.at += size
    return this.#bytes.subarray(this.at - size, this.at)
  }

  u8(what: string): number {
    return this.take(1, what)[0]!
  }

  u16(what: string): number {
    this.take(2, what)
    return this.#view.getUint16(this.at - 2, true)
  }

  u24(what: string): number {
    return this.u16(what) + this.u8(what) * 0x1_0000
  }

  u32(what: string): number {
    this.take(4, what)
    return this.#view.getUint32(this.at - 4, true)
  }

  /** A reader of the next `size` bytes. */
  inside(size: number, what: string): ByteReader {
    return new ByteReader(this.take(size, what), what, this.#Failure)
  }

  expect(value: number, expected: number, what: string): void {
    if (value !== expected) throw new this.#Failure(`${what} is ${value} instead of ${expected}`)
  }

  end(): void {
    const left = this.#bytes.length - this.at
    if (left > 0) throw new this.#Failure(`${left} bytes too many at the end of the ${this.#what}`)
  }

  endInZeros(): void {
    const extra = this.#bytes.subarray(this.at).findIndex((byte) => byte !== 0)
    if (extra >= 0) throw new this.#Failure(`bytes other than zero follow the ${this.#what}, the first at ${this.at + extra}`)
  }
}

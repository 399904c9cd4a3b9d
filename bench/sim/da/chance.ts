import { createCipheriv, createHash } from 'node:crypto'

/** Numbers that look random and are the same in every run: the key stream of AES-CTR under the hash of a name. */
export interface Chance {
  /** A whole number from 0 to `below` − 1; `below` ≤ 2^31, so that its bias is under 2^-17. */
  below(below: number): number
  /** From 0 to 1, without 1. */
  uniform(): number
  /** 32 bytes in hex. */
  hash(): string
  /** The numbers from 0 to `count` − 1 in an order of chance. */
  order(count: number): number[]
}

export function createChance(name: string): Chance {
  const cipher = createCipheriv('aes-128-ctr', createHash('sha256').update(name).digest().subarray(0, 16), new Uint8Array(16))
  const zeros = Buffer.alloc(1 << 14)
  let stream = Buffer.alloc(0)
  let at = 0
  const take = (bytes: number): Buffer => {
    if (at + bytes > stream.length) [stream, at] = [cipher.update(zeros), 0]
    at += bytes
    return stream.subarray(at - bytes, at)
  }
  const uniform = () => take(6).readUIntBE(0, 6) / 2 ** 48
  const below = (limit: number) => Math.floor(uniform() * limit)
  return {
    below,
    uniform,
    hash: () => `0x${take(32).toString('hex')}`,
    order(count) {
      const numbers = Array.from({ length: count }, (_, i) => i)
      for (let i = count - 1; i > 0; i--) {
        const j = below(i + 1)
        ;[numbers[i], numbers[j]] = [numbers[j]!, numbers[i]!]
      }
      return numbers
    },
  }
}

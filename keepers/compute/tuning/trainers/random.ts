/** Reproducible random numbers (xoshiro128**, seeded by splitmix32): the same on every machine. Not for secrets. */
export class Random {
  readonly #state: [number, number, number, number]

  /** @param seed any 32-bit numbers; each combination is a stream of its own */
  constructor(...seed: number[]) {
    let mixed = 0
    const split = (): number => {
      mixed = (mixed + 0x9e3779b9) | 0
      let z = mixed
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
      return (z ^ (z >>> 15)) >>> 0
    }
    for (const part of seed) mixed = (Math.imul(split() ^ part, 0x85ebca6b) + part) | 0
    this.#state = [split(), split(), split(), split()]
  }

  /** Uniform in [0, 1). */
  next(): number {
    const s = this.#state
    const scrambled = Math.imul(rotl(Math.imul(s[1], 5), 7), 9) >>> 0
    const shifted = s[1] << 9
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = rotl(s[3], 11)
    return scrambled / 2 ** 32
  }

  /** 0 to length - 1, shuffled. */
  permutation(length: number): Uint32Array {
    const order = Uint32Array.from({ length }, (_, i) => i)
    for (let i = length - 1; i > 0; i--) {
      const j = Math.floor(this.next() * (i + 1))
      const held = order[i]!
      order[i] = order[j]!
      order[j] = held
    }
    return order
  }
}

const rotl = (x: number, k: number): number => (x << k) | (x >>> (32 - k))

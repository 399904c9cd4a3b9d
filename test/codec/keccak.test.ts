import { expect } from 'chai'
import { getBytes, keccak256 } from 'ethers'
import fc from 'fast-check'
import { type Flavour, loadKernel } from '../../codec/keccak/index.ts'

const reference = (message: Uint8Array): Uint8Array => getBytes(keccak256(message))
const flavours: Flavour[] = ['scalar', 'simd']

/** Reproducible bytes in which neighbouring chunks, hashes and seals all differ. */
function noise(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0, state = seed; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

const join = (parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** The tree as the specification words it (storage §1.3). */
function rootOf(level: Uint8Array[]): Uint8Array {
  while (level.length > 1) {
    level = Array.from({ length: Math.ceil(level.length / 2) }, (_, i) => {
      const [left, right] = level.slice(2 * i, 2 * i + 2)
      return right ? reference(join([left!, right])) : left!
    })
  }
  return level[0]!
}

const split = (bytes: Uint8Array, size: number): Uint8Array[] => Array.from({ length: bytes.length / size }, (_, i) => bytes.subarray(i * size, (i + 1) * size))

function chunkHashes(data: Uint8Array, chunks: number): Uint8Array[] {
  const padded = new Uint8Array(chunks * 256)
  padded.set(data)
  return split(padded, 256).map(reference)
}

for (const flavour of flavours) {
  describe(`codec: ${flavour} kernel`, () => {
    const kernel = loadKernel(flavour)

    it('hashes messages of every length around the blocks of the sponge', () => {
      const message = noise(600)
      for (let length = 0; length <= message.length; length++) {
        expect(kernel.keccak256(message.subarray(0, length)), `length ${length}`).to.deep.equal(reference(message.subarray(0, length)))
      }
    })

    it('hashes a message longer than its input area', () => {
      for (const length of [262_071, 262_072, 262_073, 262_144, 600_001]) {
        const message = noise(length)
        expect(kernel.keccak256(message), `length ${length}`).to.deep.equal(reference(message))
      }
    })

    it('hashes chunks one by one and pads the last with zeros', () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 256 }), fc.integer(), (chunks, missing, seed) => {
          const data = noise(chunks * 256 - missing, seed)
          expect(kernel.chunkHashes(data, chunks)).to.deep.equal(join(chunkHashes(data, chunks)))
        }),
        { seed: 1, numRuns: 50 },
      )
    })

    it('leaves nothing of an earlier segment behind', () => {
      kernel.segmentRoot(noise(262_144), 1024)
      expect(kernel.segmentRoot(new Uint8Array(1), 3)).to.deep.equal(rootOf(chunkHashes(new Uint8Array(1), 3)))
    })

    it('takes chunk hashes across segments', () => {
      const data = noise(1026 * 256 - 9)
      expect(kernel.chunkHashes(data, 1027)).to.deep.equal(join(chunkHashes(data, 1027)))
    })

    it('computes segment roots of every shape up to 40 chunks, and of the largest', () => {
      for (const chunks of [...Array(40).keys()].map((i) => i + 1).concat(1023, 1024)) {
        const data = noise(chunks * 256 - (chunks % 7), chunks)
        expect(kernel.segmentRoot(data, chunks), `${chunks} chunks`).to.deep.equal(rootOf(chunkHashes(data, chunks)))
      }
    })

    it('reduces any number of hashes, also more than its input area holds', () => {
      for (const count of [1, 2, 3, 4, 5, 7, 8, 9, 31, 100, 8191, 8192, 8193, 16_387]) {
        const hashes = noise(count * 32, count)
        expect(kernel.reduce(hashes), `${count} hashes`).to.deep.equal(rootOf(split(hashes, 32)))
      }
    })

    it('seals and unseals one to five seals, and more than fit at once', () => {
      for (const count of [1, 2, 3, 4, 5, 65]) {
        const data = noise(count * 4096, count)
        const masks = noise(count * 32, 99)
        const sealed = join(
          split(data, 4096).map((seal, i) => {
            let mask = masks.subarray(i * 32, (i + 1) * 32)
            return join(
              split(seal, 32).map((unit) => {
                const masked = unit.map((byte, k) => byte ^ mask[k]!)
                mask = reference(masked)
                return masked
              }),
            )
          }),
        )
        const inPlace = data.slice()
        kernel.seal(inPlace, masks)
        expect(inPlace, `${count} seals`).to.deep.equal(sealed)
        kernel.unseal(inPlace, masks)
        expect(inPlace, `${count} seals back`).to.deep.equal(data)
      }
    })

    it('expands seeds to scratchpads', () => {
      for (const count of [1, 2, 3, 17]) {
        const seeds = noise(count * 64, count)
        const pads = split(kernel.scratchpads(seeds), 16_384)
        for (const [i, seed] of split(seeds, 64).entries()) {
          const cell = seed.slice()
          const cells: Uint8Array[] = []
          for (let n = 0; n < 256; n++) {
            cell.set(reference(cell))
            cell.set(reference(cell), 32)
            cells.push(cell.slice())
          }
          expect(pads[i], `pad ${i} of ${count}`).to.deep.equal(join(cells))
        }
      }
    })

    it('refuses sizes that do not fit', () => {
      expect(() => kernel.segmentRoot(new Uint8Array(257), 1)).to.throw('257 bytes do not fit 1 chunks')
      expect(() => kernel.segmentRoot(new Uint8Array(1), 1025)).to.throw('Expected 1 to 1024 chunks, got 1025')
      expect(() => kernel.chunkHashes(new Uint8Array(0), 0)).to.throw('got 0')
      expect(() => kernel.reduce(new Uint8Array(33))).to.throw('33 bytes are not a multiple of 32')
      expect(() => kernel.reduce(new Uint8Array(0))).to.throw('no root over zero hashes')
      expect(() => kernel.seal(new Uint8Array(4096), new Uint8Array(64))).to.throw('1 seals need as many first masks')
    })
  })
}

describe('codec: flavours', () => {
  it('are chosen by what the engine runs', () => {
    const { validate } = WebAssembly
    expect(loadKernel().flavour).to.equal('simd')
    try {
      WebAssembly.validate = () => false
      expect(loadKernel().flavour).to.equal('scalar')
    } finally {
      WebAssembly.validate = validate
    }
  })

  it('agree on random segments', () => {
    const [scalar, simd] = [loadKernel('scalar'), loadKernel('simd')]
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1024 }), fc.double({ min: 0, max: 1, noNaN: true }), fc.integer(), (chunks, filled, seed) => {
        const data = noise(Math.floor(chunks * 256 * filled), seed)
        expect(simd.segmentRoot(data, chunks)).to.deep.equal(scalar.segmentRoot(data, chunks))
      }),
      { seed: 2, numRuns: 40 },
    )
  })
})

import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { createCodec, rsema1d } from '../../codec/rows/codec.ts'
import type { Flavour } from '../../codec/rows/kernels.ts'
import published from '../vectors/rsema1d.json' with { type: 'json' }

const flavours: Flavour[] = ['scalar', 'simd']

for (const flavour of flavours) {
  describe(`codec: rows, ${flavour}`, () => {
    for (const { K: k, N: n, rowSize, commitment } of published.vectors) {
      it(`commits as rsema1d does to ${k} rows of ${rowSize} bytes and ${n} more`, async () => {
        const codec = createCodec({ threads: 0, scheme: rsema1d, flavour })
        const data = new Uint8Array(k * rowSize)
        for (let i = 1; i <= k; i++) data[i * rowSize - 1] = i
        const { rowRoot, rlcRoot } = await codec.encode(data, { k, t: k + n, rowSize })
        expect(`0x${createHash('sha256').update(rowRoot).update(rlcRoot).digest('hex')}`).to.equal(commitment)
      })
    }
  })
}

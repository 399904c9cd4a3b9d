import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect } from 'chai'

const build = new URL('../../codec/build.mjs', import.meta.url)
const outputs = ['keccak-simd.wasm', 'keccak-scalar.wasm'].map((name) => new URL(`../../codec/build/${name}`, import.meta.url))

describe('codec: build', () => {
  it('writes nothing while the sources are the same', async () => {
    const written = (): Promise<number[]> => Promise.all(outputs.map(async (file) => (await stat(file)).mtimeMs))
    const before = await written()
    await promisify(execFile)(process.execPath, [build.pathname])
    expect(await written()).to.deep.equal(before)
  })
})

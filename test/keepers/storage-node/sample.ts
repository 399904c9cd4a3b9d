import { segmentLength } from '../../../keepers/storage/node/segments.ts'
import { SEGMENT_SIZE } from '../../../protocol/storage/constants.ts'
import { fileShape } from '../../../protocol/storage/file-shape.ts'
import { FileTree } from '../../../protocol/storage/merkle.ts'

/** A file of pseudo-random bytes, no two chunks alike; `seed` makes different ones. */
export function sampleFile(size: number, seed = 1) {
  const bytes = new Uint8Array(size)
  let state = (seed * 0x9e3779b1) >>> 0 || 1
  for (let i = 0; i < size; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state >>> 8
  }
  const shape = fileShape(size)
  const tree = FileTree.fromBytes(bytes)
  return {
    bytes,
    size,
    shape,
    tree,
    root: tree.root,
    key: { root: tree.root, size },
    /** A segment as it is stored: whole chunks. */
    segment(index: number): Uint8Array {
      const whole = new Uint8Array(segmentLength(shape, index))
      whole.set(bytes.subarray(index * SEGMENT_SIZE, (index + 1) * SEGMENT_SIZE))
      return whole
    },
    /** A segment as clients send it. */
    proven(index: number) {
      const data = Buffer.from(this.segment(index)).toString('base64')
      return { root: tree.root, data, index, proof: tree.proof(index), fileSize: size }
    },
  }
}

export type SampleFile = ReturnType<typeof sampleFile>

import { expect } from 'chai'
import { hexlify } from 'ethers'
import fc from 'fast-check'
import { threadKernel } from '../../codec/keccak/index.ts'
import { SEGMENT_SIZE, zeroHash } from '../../protocol/storage/constants.ts'
import { chunksInSegment, fileShape, paddedChunks } from '../../protocol/storage/file-shape.ts'
import { FileTree, hashPair, type ProvenSegment, rootOfNodes, type SegmentProof, verifySegmentProof } from '../../protocol/storage/merkle.ts'
import { identityOf, sectorsOf } from '../../protocol/storage/submission.ts'
import { type Pattern, patternBytes } from '../support/patterns.ts'
import vectors from '../vectors/storage-vectors.json' with { type: 'json' }

const segmentOf = (bytes: Uint8Array, index: number): Uint8Array => bytes.subarray(index * SEGMENT_SIZE, (index + 1) * SEGMENT_SIZE)

function proven(bytes: Uint8Array, tree: FileTree, index: number): ProvenSegment {
  return { root: tree.root, size: bytes.length, index, data: segmentOf(bytes, index), proof: tree.proof(index) }
}

/** Sizes where the shape changes, and random ones up to a few segments. */
const sizes = fc.oneof(
  fc.integer({ min: 1, max: 9 * SEGMENT_SIZE }),
  fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: -1, max: 1 })).map(([chunks, off]) => chunks * 256 + off),
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: -257, max: 257 })).map(([segments, off]) => segments * SEGMENT_SIZE + off),
)

describe('Merkle trees of files', () => {
  it('hash zeros as the reference does', () => {
    expect(vectors.zeroHashes).to.have.length(64)
    for (const [height, hash] of vectors.zeroHashes.entries()) expect(hexlify(zeroHash(height))).to.equal(hash)
    expect(vectors.constants.emptyChunkHash).to.equal(hexlify(zeroHash(0)))
    expect(() => zeroHash(64)).to.throw('from 0 to 63')
  })

  it("agree with the reference node's own unit test", () => {
    expect(FileTree.fromBytes(new Uint8Array(6 * 256)).root).to.equal(vectors.nodeUnitTest.zero6)
    expect(FileTree.fromBytes(new Uint8Array(7 * 256)).root).to.equal(vectors.nodeUnitTest.zero7)
  })

  for (const vector of vectors.vectors) {
    it(`agree with the public client on ${vector.size} bytes of ${vector.pattern}`, () => {
      const bytes = patternBytes(vector.pattern as Pattern, vector.size)
      const tree = FileTree.fromBytes(bytes)
      const shape = fileShape(vector.size)
      expect(hexlify(threadKernel().keccak256(bytes))).to.equal(vector.keccakOfContent)
      expect(shape).to.deep.equal({
        size: vector.size,
        chunks: vector.numChunks,
        paddedChunks: vector.paddedChunks,
        segments: vector.numSegments,
        paddedSegments: vector.numSegmentsPadded,
      })
      expect(tree.root).to.equal(vector.root)
      expect(tree.nodes()).to.deep.equal(vector.nodes.map(({ height, root }) => ({ root, height })))
      expect(rootOfNodes(tree.nodes())).to.equal(vector.root)
      expect(identityOf(tree.nodes())).to.equal(vector.submissionIdentity)
      expect(sectorsOf(tree.nodes())).to.equal(vector.sectorsCharged)
      for (const [index, root] of (vector.segmentRoots ?? []).entries()) expect(hexlify(tree.segmentRoots.subarray(index * 32, index * 32 + 32))).to.equal(root)
      for (const { index, lemma, path } of vector.segmentProofs ?? []) {
        expect(tree.proof(index)).to.deep.equal({ lemma, path })
        if (index < shape.segments) expect(verifySegmentProof(proven(bytes, tree, index)), `segment ${index}`).to.not.equal(undefined)
      }
    })
  }

  it('pad to sixteenths of the next power of two', () => {
    const cases = [
      [1, 1],
      [3, 3],
      [5, 5],
      [15, 15],
      [16, 16],
      [17, 18],
      [33, 36],
      [257, 288],
      [1025, 1152],
      [4097, 4608],
    ]
    for (const [chunks, padded] of cases) expect(paddedChunks(chunks!), `${chunks}`).to.equal(padded)
    expect(paddedChunks(2 ** 40 + 1)).to.equal(2 ** 40 + 2 ** 37)
  })

  it('have no file of zero bytes', () => {
    expect(() => FileTree.fromBytes(new Uint8Array(0))).to.throw('at least one byte')
    expect(() => rootOfNodes([])).to.throw('at least one node')
  })

  it('fold from the submission nodes to the root, for random files', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const tree = FileTree.fromBytes(patternBytes('p2', size))
        const nodes = tree.nodes()
        expect(rootOfNodes(nodes)).to.equal(tree.root)
        expect(sectorsOf(nodes)).to.equal(fileShape(size).paddedChunks)
        expect(nodes[0]!.height - nodes.at(-1)!.height).to.be.at.most(3)
      }),
      { seed: 3, numRuns: 60 },
    )
  })

  it('need the last chunk hashes only for nodes within the last segment', () => {
    const bytes = patternBytes('p2', 6 * SEGMENT_SIZE + 300 * 256)
    const whole = FileTree.fromBytes(bytes)
    const bare = FileTree.fromSegmentRoots(bytes.length, whole.segmentRoots)
    expect(bare.root).to.equal(whole.root)
    expect(bare.proof(3)).to.deep.equal(whole.proof(3))
    expect(() => bare.nodes()).to.not.throw()

    const short = FileTree.fromBytes(patternBytes('p2', 17 * 256))
    expect(() => FileTree.fromSegmentRoots(17 * 256, short.segmentRoots).nodes()).to.throw('chunk hashes of its last segment')
  })

  it('refuse segment roots that are too few, or that are not zeros behind the end of the file', () => {
    const size = 5_243_180
    const roots = FileTree.fromBytes(patternBytes('p2', size)).segmentRoots
    expect(() => FileTree.fromSegmentRoots(size, roots.subarray(32))).to.throw('22 padded segments')
    const altered = roots.slice()
    altered[21 * 32] = altered[21 * 32]! ^ 1
    expect(() => FileTree.fromSegmentRoots(size, altered)).to.throw('Segment 21 lies behind')
  })
})

describe('Segment proofs', () => {
  it('hold for every segment of random files, and name its root', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const bytes = patternBytes('p2', size)
        const tree = FileTree.fromBytes(bytes)
        const shape = fileShape(size)
        for (let index = 0; index < shape.segments; index++) {
          const root = threadKernel().segmentRoot(segmentOf(bytes, index), chunksInSegment(shape, index))
          expect(verifySegmentProof(proven(bytes, tree, index)), `segment ${index} of ${size} bytes`).to.deep.equal(root)
        }
      }),
      { seed: 4, numRuns: 40 },
    )
  })

  it('accept the last segment in whole chunks too', () => {
    const bytes = patternBytes('p2', SEGMENT_SIZE + 1)
    const whole = new Uint8Array(256)
    whole.set(bytes.subarray(SEGMENT_SIZE))
    const segment = proven(bytes, FileTree.fromBytes(bytes), 1)
    expect(verifySegmentProof({ ...segment, data: whole })).to.not.equal(undefined)
    expect(verifySegmentProof({ ...segment, data: new Uint8Array(512) })).to.equal(undefined)
  })

  it('fail when anything in them is altered', () => {
    const alter = (hex: string, digit: number): string => {
      const at = 2 + (digit % 64)
      return hex.slice(0, at) + (hex[at] === '0' ? '1' : '0') + hex.slice(at + 1)
    }
    type Alteration = (segment: ProvenSegment, pick: number) => ProvenSegment
    const inProof =
      (change: (proof: SegmentProof, pick: number) => SegmentProof): Alteration =>
      (segment, pick) => ({ ...segment, proof: change(segment.proof, pick) })
    const alterations: Record<string, Alteration> = {
      'a byte of the data': (segment, pick) => {
        const data = segment.data.slice()
        data[pick % data.length]! ^= 1 + (pick % 255)
        return { ...segment, data }
      },
      'the data is short': (segment) => ({ ...segment, data: segment.data.subarray(256) }),
      'the root': (segment, pick) => ({ ...segment, root: alter(segment.root, pick) }),
      'the position': (segment) => ({ ...segment, index: segment.index ^ 1 }),
      'the size': (segment) => ({ ...segment, size: 4 * segment.size }),
      'a size that no file has': (segment, pick) => ({ ...segment, size: [0, -1, 0.5, Number.NaN, 2 ** 60][pick % 5]! }),
      'a position that is none': (segment, pick) => ({ ...segment, index: [-1, 0.5, Number.NaN][pick % 3]! }),
      'a position behind the file': (segment) => ({ ...segment, index: segment.index + 1_000_000 }),
      'a hash of the lemma': inProof(({ lemma, path }, pick) => ({
        path,
        lemma: lemma.map((hash, i) => (i === pick % lemma.length ? alter(hash, pick) : hash)),
      })),
      'a turn of the path': inProof(({ lemma, path }, pick) => ({ lemma, path: path.map((left, i) => (i === pick % path.length ? !left : left)) })),
      'a hash is missing': inProof(({ lemma, path }, pick) => ({ path, lemma: lemma.toSpliced(pick % lemma.length, 1) })),
      'a level is missing': inProof(({ lemma, path }) => ({ lemma: lemma.toSpliced(1, 1), path: path.slice(1) })),
      'a level too many': inProof(({ lemma, path }) => ({ lemma: lemma.toSpliced(1, 0, lemma[1]!), path: [true, ...path] })),
      'a hash is not one': inProof(({ lemma, path }, pick) => ({
        path,
        lemma: lemma.map((hash, i) => (i === pick % lemma.length ? hash.slice(0, -1) : hash)),
      })),
    }
    fc.assert(
      fc.property(fc.integer({ min: SEGMENT_SIZE + 1, max: 5 * SEGMENT_SIZE }), fc.nat(), fc.constantFrom(...Object.keys(alterations)), (size, pick, name) => {
        const bytes = patternBytes('p2', size)
        const segment = proven(bytes, FileTree.fromBytes(bytes), pick % fileShape(size).segments)
        expect(verifySegmentProof(segment)).to.not.equal(undefined)
        expect(verifySegmentProof(alterations[name]!(segment, pick)), name).to.equal(undefined)
      }),
      { seed: 5, numRuns: 150 },
    )
  })

  it('fail when the padding behind the file hides something', () => {
    const size = 5_243_180
    const honest = FileTree.fromBytes(patternBytes('p2', size))
    const data = segmentOf(patternBytes('p2', size), 20)
    // Leaf 21 is padding only; a tree that hides data there proves its segment 20 by the same rules but for this one.
    const hidden = threadKernel().segmentRoot(patternBytes('p1', SEGMENT_SIZE), 1024)
    const proof = honest.proof(20)
    const leaf = honest.segmentRoots.subarray(20 * 32, 21 * 32)
    const lemma = [hexlify(leaf), hexlify(hidden), ...proof.lemma.slice(2, -1)]
    const top = lemma.slice(1).reduce((running, sibling, i) => {
      const other = Buffer.from(sibling.slice(2), 'hex')
      return proof.path[i] ? hashPair(running, other) : hashPair(other, running)
    }, leaf as Uint8Array)
    const forged = { root: hexlify(top), size, index: 20, data, proof: { lemma: [...lemma, hexlify(top)], path: proof.path } }
    expect(proof.path[0]).to.equal(true)
    expect(verifySegmentProof(forged)).to.equal(undefined)
    expect(verifySegmentProof({ ...forged, root: honest.root, proof })).to.not.equal(undefined)
  })
})

import { expect } from 'chai'
import { hexlify } from 'ethers'
import fc from 'fast-check'
import { threadKernel } from '../../codec/keccak/index.ts'
import { zeroHash } from '../../protocol/storage/constants.ts'
import { FlowTree, type LoadHashes, rootOfProof } from '../../protocol/storage/flow-tree.ts'
import { FileTree, hashPair, type SubmissionNode } from '../../protocol/storage/merkle.ts'
import { placeNodes } from '../../protocol/storage/submission.ts'
import { patternBytes } from '../support/patterns.ts'
import vectors from '../vectors/storage-vectors.json' with { type: 'json' }

const kernel = threadKernel()

/** The log with every sector's hash at hand. */
class NaiveLog implements LoadHashes {
  readonly leaves: Uint8Array[] = [new Uint8Array(32)]

  /** Appends nodes over sectors that all differ, and returns what would be submitted. */
  append(heights: number[]): SubmissionNode[] {
    const { starts } = placeNodes(
      this.leaves.length,
      heights.map((height) => ({ height })),
    )
    return heights.map((height, i) => {
      while (this.leaves.length < starts[i]!) this.leaves.push(zeroHash(0))
      for (let n = 0; n < 2 ** height; n++) this.leaves.push(kernel.keccak256(new Uint8Array(new Float64Array([this.leaves.length, Math.E]).buffer)))
      return { root: hexlify(this.subtree(height, starts[i]! / 2 ** height)), height }
    })
  }

  /** Root of a subtree when the log was `length` sectors long. */
  subtree(height: number, index: number, length = this.leaves.length): Uint8Array {
    if (index * 2 ** height >= length) return zeroHash(height)
    if (height === 0) return this.leaves[index]!
    return hashPair(this.subtree(height - 1, 2 * index, length), this.subtree(height - 1, 2 * index + 1, length))
  }

  root(length: number): Uint8Array {
    return this.subtree(Math.ceil(Math.log2(length)), 0, length)
  }

  loadRoots(first: number, count: number): Uint8Array {
    return Buffer.concat(Array.from({ length: count }, (_, i) => this.subtree(10, first + i)))
  }

  async sectorHashes(load: number): Promise<Uint8Array> {
    return Buffer.concat(Array.from({ length: 1024 }, (_, i) => this.leaves[load * 1024 + i] ?? zeroHash(0)))
  }
}

/** Heights of a submission: a top one and up to three just below it. */
const submission = (highest: number) =>
  fc
    .tuple(fc.integer({ min: 0, max: highest }), fc.subarray([1, 2, 3]))
    .map(([top, below]) => [top, ...below.map((drop) => top - drop).filter((height) => height >= 0)])

function build(submissions: number[][]): { naive: NaiveLog; tree: FlowTree } {
  const [naive, tree] = [new NaiveLog(), new FlowTree()]
  for (const heights of submissions) tree.append(naive.append(heights))
  return { naive, tree }
}

describe('The tree of the log', () => {
  it('has the roots that the reference contract had, and has them still', () => {
    const tree = new FlowTree()
    for (const step of vectors.flow.steps) {
      if (step.size !== undefined) {
        const { starts } = tree.append(FileTree.fromBytes(patternBytes('p2', step.size)).nodes())
        expect(starts[0]).to.equal(step.startPos)
      }
      expect(tree.length).to.equal(step.flowLength ?? step.flowLengthAfter)
      expect(hexlify(tree.root())).to.equal(step.flowRoot)
    }
    for (const [submissions, step] of vectors.flow.steps.entries()) expect(hexlify(tree.root(submissions))).to.equal(step.flowRoot)
  })

  it('equals a naive tree after every submission, at once and later', () => {
    fc.assert(
      fc.property(fc.array(submission(8), { minLength: 1, maxLength: 12 }), (submissions) => {
        const { naive, tree } = build(submissions)
        expect(tree.submissions).to.equal(submissions.length)
        for (let count = 0; count <= submissions.length; count++) {
          const length = tree.lengthAfter(count)
          expect(tree.submissionsAt(length)).to.equal(count)
          expect(tree.root(count), `after ${count}`).to.deep.equal(naive.root(length))
        }
      }),
      { seed: 9, numRuns: 60 },
    )
  })

  it('proves every kind of sector, from the sector and from its seal, at every length', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(submission(11), { minLength: 1, maxLength: 6 }), fc.nat(), fc.nat(), async (submissions, pick, at) => {
        const { naive, tree } = build(submissions)
        const count = at % (submissions.length + 1)
        const length = tree.lengthAfter(count)
        const root = naive.root(length)
        const sector = pick % length
        const fromSector = await tree.proof(sector, naive, { submissions: count })
        expect(rootOfProof(naive.leaves[sector]!, sector, fromSector)).to.deep.equal(root)
        if (length < 16) return
        const seal = Math.floor(sector / 16)
        const fromSeal = await tree.proof(sector, naive, { height: 4, submissions: count })
        expect(fromSeal).to.deep.equal(fromSector.slice(4))
        expect(rootOfProof(naive.subtree(4, seal, length), seal, fromSeal)).to.deep.equal(root)
      }),
      { seed: 10, numRuns: 60 },
    )
  })

  it('proves what lies in gaps and the leaf that is no sector', async () => {
    const { naive, tree } = build([[0], [5], [11]])
    for (const sector of [0, 2, 31, 32, 64, 1000, 2047, 2048, 4095]) {
      expect(rootOfProof(naive.leaves[sector]!, sector, await tree.proof(sector, naive)), `sector ${sector}`).to.deep.equal(naive.root(4096))
    }
  })

  it('proves the reference vectors of mining', async () => {
    const leaf = (sector: number): Uint8Array => {
      const data = new Uint8Array(256)
      data[0] = sector
      return sector === 0 ? new Uint8Array(32) : kernel.keccak256(data)
    }
    const hashes = Buffer.concat(Array.from({ length: 16_384 }, (_, sector) => leaf(sector)))
    const tree = new FlowTree()
    // As submitted by the reference's test: nodes that double in size.
    for (let height = 0; height < 14; height++) {
      const range = hashes.subarray(32 * 2 ** height, 64 * 2 ** height)
      tree.append([{ root: hexlify(kernel.reduce(range)), height }])
    }
    const data: LoadHashes = {
      loadRoots: (first, count) =>
        Buffer.concat(Array.from({ length: count }, (_, i) => kernel.reduce(hashes.subarray((first + i) * 32_768, (first + i + 1) * 32_768)))),
      sectorHashes: (load) => hashes.subarray(load * 32_768, (load + 1) * 32_768),
    }
    for (const vector of vectors.pora.vectors) {
      expect(tree.length).to.equal(vector.flowLength)
      expect(hexlify(tree.root())).to.equal(vector.flowRoot)
      const proof = await tree.proof(vector.recallPosition, data, { height: 4 })
      expect(proof.map((sibling) => hexlify(sibling))).to.deep.equal(vector.merkleProof)
    }
  })

  it('takes submissions back and goes on as if they had never been', () => {
    fc.assert(
      fc.property(fc.array(submission(6), { minLength: 1, maxLength: 10 }), fc.nat(), fc.array(submission(6), { maxLength: 6 }), (first, pick, then) => {
        const kept = pick % (first.length + 1)
        const { tree } = build(first)
        tree.truncate(kept)
        const straight = build([...first.slice(0, kept), ...then])
        const naive = new NaiveLog()
        for (const heights of first.slice(0, kept)) naive.append(heights)
        for (const heights of then) tree.append(naive.append(heights))
        expect(tree.submissions).to.equal(straight.tree.submissions)
        for (let count = 0; count <= tree.submissions; count++) expect(tree.root(count)).to.deep.equal(straight.tree.root(count))
      }),
      { seed: 11, numRuns: 60 },
    )
  })

  it('does not know lengths and sectors that never were', async () => {
    const { naive, tree } = build([[2], [4]])
    expect(() => tree.root(3)).to.throw('2 submissions, not 3')
    expect(() => tree.submissionsAt(9)).to.throw('No submission ended at sector 9')
    expect(() => tree.truncate(3)).to.throw('2 submissions, not 3')
    for (const sector of [32, -1, 0.5]) {
      const error = await tree.proof(sector, naive).catch((reason) => reason)
      expect(error, `${sector}`).to.be.instanceOf(RangeError)
    }
    expect(await tree.proof(8, naive, { submissions: 1 }).catch((reason) => reason)).to.be.instanceOf(RangeError)
  })

  it('grows by a few times 40 bytes for a submission', function () {
    this.timeout(30_000)
    const tree = new FlowTree()
    const node = { root: hexlify(zeroHash(3)), height: 10 }
    const before = process.memoryUsage().arrayBuffers
    const submissions = 100_000
    for (let i = 0; i < submissions; i++) tree.append([node])
    expect(tree.length).to.equal((submissions + 1) * 1024)
    expect((process.memoryUsage().arrayBuffers - before) / submissions).to.be.lessThan(4 * 40)
  })
})

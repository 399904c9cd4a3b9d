import { expect } from 'chai'
import fc from 'fast-check'
import { FileTree } from '../../protocol/storage/merkle.ts'
import { placeNodes, sectorsOf, submissionFault, submissionOf } from '../../protocol/storage/submission.ts'
import { IFlow__factory } from '../../typechain-types/index.ts'
import { patternBytes } from '../support/patterns.ts'
import vectors from '../vectors/storage-vectors.json' with { type: 'json' }

const node = (height: number) => ({ root: `0x${'11'.repeat(32)}`, height })

describe('Submissions', () => {
  it('encode as those of both public clients do', () => {
    const bytes = patternBytes('p2', 1000)
    const data = submissionOf(FileTree.fromBytes(bytes), bytes.length, '0x1234')
    const submitter = `0x${'11'.repeat(20)}`
    const flow = IFlow__factory.createInterface()
    expect(flow.encodeFunctionData('submit(((uint256,bytes,(bytes32,uint256)[]),address))', [{ data, submitter }])).to.equal(vectors.calldata.v128)
    expect(flow.encodeFunctionData('submit((uint256,bytes,(bytes32,uint256)[]))', [data])).to.equal(vectors.calldata.v033)
  })

  it('are valid for files of every size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3_000_000 }), (size) => {
        const data = submissionOf(FileTree.fromBytes(new Uint8Array(size)), size)
        expect(submissionFault(data), `${size} bytes`).to.equal(undefined)
        expect(submissionFault({ ...data, length: sectorsOf(data.nodes) * 256 + 1 })).to.match(/do not fit/)
      }),
      { seed: 6, numRuns: 60 },
    )
  })

  it('are refused when they could not be a file', () => {
    const cases: [heights: number[], length: number, fault: string | undefined][] = [
      [[], 1, 'no nodes'],
      [[64], 1, 'from 0 to 63'],
      [[-1], 1, 'from 0 to 63'],
      [[3, 3], 4096, 'do not descend'],
      [[2, 3], 3072, 'do not descend'],
      [[5, 1], 34 * 256, 'four levels'],
      [[0], 257, 'do not fit'],
      [[0], 0, 'do not need'],
      [[2], 3 * 256, 'do not need'],
      [[2], 3 * 256 + 1, undefined],
      [[4], 15 * 256, 'do not need'],
      [[4], 15 * 256 + 1, undefined],
      [[8, 5], (288 - 32) * 256, 'do not need'],
      [[8, 5], (288 - 32) * 256 + 1, undefined],
    ]
    for (const [heights, length, fault] of cases) {
      const found = submissionFault({ length, nodes: heights.map(node) })
      if (fault === undefined) expect(found, `${heights}`).to.equal(undefined)
      else expect(found, `${heights}`).to.contain(fault)
    }
  })

  it('lie in one segment of the log or start on one, each node aligned to itself', () => {
    const shapes = fc
      .uniqueArray(fc.integer({ min: 0, max: 3 }), { minLength: 1 })
      .chain((drops) => fc.integer({ min: 3, max: 16 }).map((top) => drops.sort((a, b) => a - b).map((drop) => node(top - drop + drops[0]!))))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200_000 }), shapes, (length, nodes) => {
        const placed = placeNodes(length, nodes)
        const [start, end] = [placed.starts[0]!, placed.length]
        for (const [i, { height }] of nodes.entries()) expect(placed.starts[i]! % 2 ** height).to.equal(0)
        for (const [i, { height }] of nodes.slice(0, -1).entries()) expect(placed.starts[i + 1]).to.equal(placed.starts[i]! + 2 ** height)
        expect(start).to.be.at.least(length)
        expect(end).to.equal(start + sectorsOf(nodes))
        expect(start - length).to.be.lessThan(Math.max(2 * sectorsOf(nodes), 1024))
        expect(start % 1024 === 0 || Math.floor(start / 1024) === Math.floor((end - 1) / 1024)).to.equal(true)
      }),
      { seed: 7, numRuns: 500 },
    )
  })

  it('come to lie where the reference contract puts them', () => {
    let length = 1
    for (const step of vectors.flow.steps) {
      if (step.size === undefined) continue
      const { nodes } = submissionOf(FileTree.fromBytes(patternBytes('p2', step.size)), step.size)
      const placed = placeNodes(length, nodes)
      length = placed.length
      expect({ startPos: placed.starts[0], length: sectorsOf(nodes), flowLengthAfter: length }).to.deep.equal({
        startPos: step.startPos,
        length: step.length,
        flowLengthAfter: step.flowLengthAfter,
      })
    }
  })
})

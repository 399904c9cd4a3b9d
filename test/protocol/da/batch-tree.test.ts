import { expect } from 'chai'
import { concat, id, keccak256, ZeroHash } from 'ethers'
import { batchTree, NO_BLOB, verifyInclusion } from '../../../protocol/da/batch-tree.ts'
import { DaFormatError } from '../../../protocol/da/format-error.ts'

const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => id(`blob ${i}`))

describe('batch trees', () => {
  it('hash the blobs in their order, padded with zeros', () => {
    const [a, b, c] = ids(3).map((blob) => keccak256(concat(['0x00', blob]))) as [string, string, string]
    const parent = (left: string, right: string) => keccak256(concat(['0x01', left, right]))
    expect(batchTree(ids(1)).root).to.equal(a)
    expect(batchTree(ids(3)).root).to.equal(parent(parent(a, b), parent(c, ZeroHash)))
    expect(batchTree(ids(3)).proof(2)).to.deep.equal([ZeroHash, parent(a, b)])
  })

  it('prove every blob at its index and nowhere else', () => {
    for (const count of [1, 2, 3, 7, 64]) {
      const blobs = ids(count)
      const tree = batchTree(blobs)
      for (const [index, blob] of blobs.entries()) {
        const proof = tree.proof(index)
        expect(verifyInclusion(tree.root, blob, index, proof)).to.equal(true)
        for (let other = 0; other < 2 ** proof.length; other++) if (other !== index) expect(verifyInclusion(tree.root, blob, other, proof)).to.equal(false)
        expect(verifyInclusion(tree.root, blob, index + 2 ** proof.length, proof), 'beyond the tree').to.equal(false)
        expect(verifyInclusion(tree.root, id('other'), index, proof)).to.equal(false)
        expect(verifyInclusion(id('other'), blob, index, proof)).to.equal(false)
        expect(verifyInclusion(tree.root, blob, index, [...proof, ZeroHash])).to.equal(false)
      }
    }
  })

  it('are others with zeros in front of the same blobs, and prove each blob, but no zero', () => {
    const [blob] = ids(1) as [string]
    const roots = [0, 1, 2, 3, 4].map((empty) => {
      const tree = batchTree([...Array<string>(empty).fill(NO_BLOB), blob])
      expect(verifyInclusion(tree.root, blob, empty, tree.proof(empty))).to.equal(true)
      if (empty > 0) expect(verifyInclusion(tree.root, NO_BLOB, 0, tree.proof(0))).to.equal(false)
      return tree.root
    })
    expect(new Set(roots).size).to.equal(5)
    expect(roots[1]).to.equal(keccak256(concat(['0x01', ZeroHash, roots[0]!])))
  })

  it('do not take a node for a blob, nor what is no hash or index', () => {
    const tree = batchTree(ids(4))
    expect(verifyInclusion(tree.root, tree.proof(3)[1]!, 0, tree.proof(3).slice(0, 1)), 'an inner node').to.equal(false)
    const [blob, proof] = [ids(4)[0]!, tree.proof(0)]
    // By its bits, −1 is the last index of any tree.
    expect(verifyInclusion(tree.root, ids(4)[3]!, 3, tree.proof(3))).to.equal(true)
    expect(verifyInclusion(tree.root, ids(4)[3]!, -1, tree.proof(3)), 'before the tree').to.equal(false)
    for (const index of [-1, 0.5, Number.NaN, 2 ** 53]) expect(verifyInclusion(tree.root, blob, index, proof)).to.equal(false)
    expect(verifyInclusion('0x12', blob, 0, proof)).to.equal(false)
    expect(verifyInclusion(tree.root, blob.slice(2), 0, proof)).to.equal(false)
    expect(verifyInclusion(tree.root, blob, 0, ['0x', proof[1]!])).to.equal(false)
    expect(verifyInclusion(tree.root.toUpperCase().replace('X', 'x'), blob, 0, proof)).to.equal(true)
  })

  it('are made of at least one id', () => {
    expect(() => batchTree([])).to.throw(DaFormatError, 'at least one')
    expect(() => batchTree(['0x12'])).to.throw(DaFormatError, '32 bytes')
    for (const index of [-1, 3, 0.5]) expect(() => batchTree(ids(3)).proof(index)).to.throw(DaFormatError, 'from 0 to 2')
  })
})

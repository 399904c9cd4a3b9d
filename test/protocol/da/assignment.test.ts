import { expect } from 'chai'
import { id, parseEther } from 'ethers'
import fc from 'fast-check'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { CODES, type Code } from '../../../protocol/da/codes.ts'
import { COMMITTEE_SEATS, epochSharesOf, seatsOf } from '../../../protocol/da/committee.ts'
import { DaFormatError } from '../../../protocol/da/format-error.ts'
import { rowsOfShare, type Shares, sharesOf } from '../../../protocol/da/shares.ts'

const seed = id('seed')
const blobId = id('blob')
const codesOf = ({ codes }: Shares): Code[] => CODES.filter(({ index }) => codes & (1 << index))
/** From equal stakes to one that has nearly all. */
const skewed = (maxLength: number): fc.Arbitrary<bigint[]> =>
  fc.nat(60).chain((skew) =>
    fc.array(
      fc.tuple(fc.nat(skew), fc.integer({ min: 1, max: 2 ** 30 })).map(([shift, weight]) => BigInt(weight) << BigInt(shift)),
      { minLength: 1, maxLength },
    ),
  )

describe('shares of an epoch', () => {
  it('are three times the weight’s part of K, with the code’s least and K as bounds', () => {
    const [, code] = CODES as [Code, Code]
    expect(rowsOfShare(code, 1n, 10n ** 27n)).to.equal(135)
    expect(rowsOfShare(code, 2n, 10n)).to.equal(154) // ⌈153.6⌉
    expect(rowsOfShare(code, 1n, 4n)).to.equal(192)
    expect(rowsOfShare(code, 1n, 3n)).to.equal(256)
    expect(rowsOfShare(code, 9n, 10n)).to.equal(256)
    for (const code of CODES) expect(rowsOfShare(code, 1n, 1000n), `K = ${code.k}`).to.equal(Math.min(code.k, code.minRows))
  })

  it('are rounded up by the least there is of a row', () => {
    // 3 · 1024 · 8/25 = 983 + 1/25
    expect(rowsOfShare(CODES[2]!, 8n, 25n)).to.equal(984)
  })

  it('follow each other without gaps, and a code is allowed exactly if all of them fit its rows', () => {
    fc.assert(
      fc.property(skewed(130), (weights) => {
        const shares = sharesOf(weights)
        expect(shares.totalWeight).to.equal(weights.reduce((sum, weight) => sum + weight))
        expect(shares.members.map(({ weight }) => weight)).to.deep.equal(weights)
        for (const code of CODES) {
          let slot = 0
          for (const { weight, firstSlot } of shares.members) {
            expect(firstSlot[code.index]).to.equal(slot)
            slot += rowsOfShare(code, weight, shares.totalWeight)
          }
          expect((shares.codes >> code.index) & 1, `K = ${code.k}`).to.equal(slot <= code.t ? 1 : 0)
        }
      }),
      { seed: 1, numRuns: 40 },
    )
  })

  it('of equal stakes fit as many members as the least rows allow; beyond the largest code there is a committee', () => {
    const of = (count: number): [number, boolean] => {
      const { codes, committee } = epochSharesOf(Array<bigint>(count).fill(parseEther('100')), seed)
      return [codes, committee]
    }
    const most: [number, number][] = [
      [4, 0b11111],
      [7, 0b11110],
      [28, 0b11100],
      [111, 0b11000],
      [442, 0b10000],
    ]
    for (const [count, codes] of most) {
      expect(of(count), `${count}`).to.deep.equal([codes, false])
      expect(of(count + 1), `${count + 1}`).to.deep.equal([count === 442 ? 0b10000 : codes & (codes - 1), count === 442])
    }
  })

  it('need members, each with weight', () => {
    expect(() => sharesOf([])).to.throw(DaFormatError, 'at least one')
    expect(() => sharesOf([1n, 0n])).to.throw(DaFormatError, 'the weight of member 1 is 0')
    expect(() => sharesOf([-1n])).to.throw(DaFormatError)
  })
})

describe('assignment of rows', () => {
  it('is fixed by the seed of the epoch and the id of the blob', () => {
    const epoch = { ...sharesOf(Array<bigint>(4).fill(1n)), seed }
    const first = (log2K: number) => [...createAssignment(epoch, blobId, log2K).rowsOf(0).subarray(0, 6)]
    expect(first(6)).to.deep.equal([65, 166, 97, 155, 186, 165])
    expect(first(10)).to.deep.equal([2123, 573, 2311, 3744, 2748, 1413])
    expect(first(14)).to.deep.equal([41_285, 20_109, 3135, 48_743, 11_735, 27_652])
  })

  it('is a permutation: every row is at one slot, and its owner is whose slot that is', () => {
    for (const code of CODES) {
      const shares = sharesOf(Array<bigint>(4).fill(1n))
      const assignment = createAssignment({ ...shares, seed }, blobId, code.log2K)
      const owners = new Map<number, number>()
      for (let member = 0; member < 4; member++) for (const row of assignment.rowsOf(member)) owners.set(row, member)
      // Three quarters of K each, and at least s: with K = 64 all of them, so that nothing is left over.
      expect(owners.size, `K = ${code.k}`).to.equal(4 * rowsOfShare(code, 1n, 4n))
      for (let row = 0; row < code.t; row++) expect(assignment.ownerOf(row)).to.equal(owners.get(row))
    }
  })

  it('gives any third of the weight at least K rows', () => {
    fc.assert(
      fc.property(skewed(60), fc.infiniteStream(fc.nat()), (weights, random) => {
        const shares = sharesOf(weights)
        const third = weights.map((_, i) => ({ i, order: random.next().value as number })).sort((a, b) => a.order - b.order)
        for (const code of codesOf(shares).slice(0, 2)) {
          const assignment = createAssignment({ ...shares, seed }, blobId, code.log2K)
          const rows = new Set<number>()
          let weight = 0n
          for (const { i } of third) {
            if (3n * weight >= shares.totalWeight) break
            weight += weights[i]!
            for (const row of assignment.rowsOf(i)) rows.add(row)
          }
          expect(rows.size, `K = ${code.k}, ${weights}`).to.be.at.least(code.k)
        }
      }),
      { seed: 2, numRuns: 40 },
    )
  })

  it('differs from blob to blob, and from epoch to epoch', () => {
    const shares = sharesOf(Array<bigint>(4).fill(1n))
    const rows = (seed: string, blobId: string) =>
      createAssignment({ ...shares, seed }, blobId, 10)
        .rowsOf(0)
        .join()
    expect(new Set([rows(seed, blobId), rows(id('other'), blobId), rows(seed, id('other'))]).size).to.equal(3)
  })

  it('gives a point on the border of two stakes to the second, and draws by a seed of 32 bytes alone', () => {
    // Two points for each seat, and the border at one of them: whatever is drawn, each has its half.
    for (let i = 0; i < 20; i++) expect(seatsOf([1n, 1n], id(`seed ${i}`))).to.deep.equal([221, 221])
    expect(() => seatsOf([1n, 1n], '0x12')).to.throw(DaFormatError, 'the seed of the epoch')
  })

  it('of a committee are for whoever has a seat, by how many: seats follow stake, and add up', () => {
    // One signer with half of the stake among five hundred.
    const stakes = [...Array<bigint>(500).fill(10n), 5000n]
    const { committee, signers, members, totalWeight, codes } = epochSharesOf(stakes, seed)
    expect([committee, totalWeight, (codes >> 4) & 1]).to.deep.equal([true, BigInt(COMMITTEE_SEATS), 1])
    const seats = seatsOf(stakes, seed)
    expect(members.map(({ weight }) => Number(weight))).to.deep.equal(seats.filter((count) => count > 0))
    expect(signers).to.deep.equal(seats.flatMap((count, signer) => (count > 0 ? [signer] : [])))
    // Half of the parts are all its own.
    expect(seats[500]).to.equal(COMMITTEE_SEATS / 2)
    // Less than a part: one seat at most of each of the two parts that it may lie across.
    for (const count of seats.slice(0, 500)) expect(count).to.be.at.most(2)
    expect(seatsOf(stakes, id('another'))).not.to.deep.equal(seats)
  })

  it('of a committee fit the largest code, whatever the stakes', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 1n, max: 10n ** 24n }), { minLength: 443, maxLength: 700 }), (stakes) => {
        const { members, totalWeight, codes } = epochSharesOf(stakes, seed)
        expect(totalWeight).to.equal(BigInt(COMMITTEE_SEATS))
        expect(members.length).to.be.at.most(COMMITTEE_SEATS)
        expect((codes >> 4) & 1).to.equal(1)
      }),
      { seed: 1, numRuns: 20 },
    )
  })

  it('refuses a code that the epoch does not allow, hashes that are none, and members and rows that do not exist', () => {
    const epoch = { ...sharesOf(Array<bigint>(5).fill(1n)), seed }
    expect(() => createAssignment(epoch, blobId, 6)).to.throw(DaFormatError, 'K = 64 is no code of the epoch (mask 30)')
    expect(() => createAssignment(epoch, blobId, 9)).to.throw(DaFormatError, 'expected 6, 8, 10, 12 or 14')
    expect(() => createAssignment(epoch, '0x12', 8)).to.throw(DaFormatError, 'the id of the blob is 0x12')
    expect(() => createAssignment({ ...epoch, seed: 'seed' }, blobId, 8)).to.throw(DaFormatError, 'the seed of the epoch')
    const assignment = createAssignment(epoch, blobId, 8)
    for (const member of [-1, 5, 0.5]) expect(() => assignment.rowsOf(member)).to.throw(DaFormatError, 'from 0 to 4')
    for (const row of [-1, 1024, 0.5]) expect(() => assignment.ownerOf(row)).to.throw(DaFormatError, 'from 0 to 1023')
  })
})

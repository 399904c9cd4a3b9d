import { expect } from 'chai'
import { id, solidityPackedKeccak256 } from 'ethers'
import { network } from 'hardhat'
import vectors from '../../vectors/storage-vectors.json' with { type: 'json' }
import { defaults, deployStorage } from './deploy.ts'
import { BATCH_SUBMIT, BATCH_SUBMIT_LEGACY, dataOf, SUBMIT, SUBMIT_LEGACY, sectorsOf, submissionOf } from './submission.ts'

const { ethers, networkHelpers } = await network.create()
const { price } = defaults

const fixture = () => deployStorage(ethers)
const freeFixture = () => deployStorage(ethers, { price: 0n })

describe('Flow: submitting', () => {
  it('has the selectors and topics that the public clients use', async () => {
    const { flow } = await networkHelpers.loadFixture(fixture)
    const { interface: abi } = flow
    expect(abi.getFunction(SUBMIT).selector).to.equal('0xbc8c11f8')
    expect(abi.getFunction(SUBMIT_LEGACY).selector).to.equal('0xef3e12dc')
    expect(abi.getFunction(BATCH_SUBMIT).selector).to.equal('0x49aa3395')
    expect(abi.getFunction(BATCH_SUBMIT_LEGACY).selector).to.equal('0x9e62a38e')
    expect(abi.getFunction('market').selector).to.equal('0x80f55605')
    expect(abi.getEvent('Submit').topicHash).to.equal('0x167ce04d2aa1981994d3a31695da0d785373335b1078cec239a1a3a2c7675555')
    expect(abi.getEvent('NewEpoch').topicHash).to.equal('0xbc8a3fd82465d43f1709e44ed882f7e1af0147274196ef1ec009f5d52ff4e993')
  })

  for (const [client, calldata] of [
    ['1.2.8', vectors.calldata.v128],
    ['0.3.3', vectors.calldata.v033],
  ] as const)
    it(`executes the calldata that client ${client} makes, sent by its submitter`, async () => {
      const { flow } = await networkHelpers.loadFixture(fixture)
      const submitter = await ethers.getImpersonatedSigner('0x1111111111111111111111111111111111111111')
      await networkHelpers.setBalance(submitter.address, 10n ** 18n)
      const tx = await submitter.sendTransaction({ to: flow.target, data: calldata, value: 4n * price })
      const root = '0x146b6980730dcd32acb835eacafe53281e0f06e7cd95556288214f0d8eaad6fe'
      await expect(tx)
        .to.emit(flow, 'Submit')
        .withArgs(submitter.address, solidityPackedKeccak256(['bytes32'], [root]), 0n, 4n, 4n, [1000n, '0x1234', [[root, 2n]]])
    })

  it('returns index, identity, start and sectors, and logs them', async () => {
    const { flow, alice } = await networkHelpers.loadFixture(fixture)
    const submission = submissionOf([4, 1], alice.address)
    const identity = solidityPackedKeccak256(
      ['bytes32', 'bytes32'],
      submission.data.nodes.map((node) => node.root),
    )
    const overrides = { value: 18n * price }
    expect(await flow.connect(alice)[SUBMIT].staticCall(submission, overrides)).to.deep.equal([0n, identity, 16n, 18n])
    await expect(flow.connect(alice)[SUBMIT](submission, overrides))
      .to.emit(flow, 'Submit')
      .withArgs(alice.address, identity, 0n, 16n, 18n, [256n * 18n, '0x', submission.data.nodes.map((node) => [node.root, node.height])])
    expect(await flow.numSubmissions()).to.equal(1n)
    expect(await flow.submissionIndex()).to.equal(1n)
    expect(await flow.tree()).to.deep.equal([34n, 0n])
  })

  it('succeeds with the gas estimated before, whatever else is submitted meanwhile and though an epoch opens', async () => {
    const { flow, alice, bob } = await networkHelpers.loadFixture(fixture)
    const overrides = { value: 18n * price }
    const submission = submissionOf([4, 1], alice.address)
    await flow.connect(bob)[SUBMIT](submissionOf([0], bob.address), { value: price })
    const gasLimit = await flow.connect(alice)[SUBMIT].estimateGas(submission, overrides)
    // Another size first makes for other alignment and other peaks; a new epoch for its root, its context and its range.
    await flow.connect(bob)[SUBMIT](submissionOf([12, 11, 10, 9], bob.address), { value: 7680n * price })
    await networkHelpers.mine((await flow.blocksPerEpoch()) + 1n)
    await expect(flow.connect(alice)[SUBMIT](submission, { ...overrides, gasLimit }))
      .to.emit(flow, 'NewEpoch')
      .and.to.emit(flow, 'Submit')
    await expect(flow.connect(alice)[SUBMIT](submission, { ...overrides, gasLimit: 300_000n })).to.be.revertedWithCustomError(flow, 'NotEnoughGas')
  })

  it('authenticates the submitter (reference defect 2)', async () => {
    const { flow, alice, bob } = await networkHelpers.loadFixture(fixture)
    const forged = submissionOf([0], bob.address)
    await expect(flow.connect(alice)[SUBMIT](forged, { value: price }))
      .to.be.revertedWithCustomError(flow, 'SubmitterMismatch')
      .withArgs(bob.address, alice.address)
    await expect(flow.connect(alice)[BATCH_SUBMIT]([submissionOf([0], alice.address), forged], { value: 2n * price })).to.be.revertedWithCustomError(
      flow,
      'SubmitterMismatch',
    )
    await expect(flow.connect(alice)[SUBMIT](submissionOf([0], ethers.ZeroAddress), { value: price })).to.be.revertedWithCustomError(flow, 'SubmitterMismatch')
  })

  describe('validity', () => {
    const valid: [string, number[], bigint][] = [
      ['one byte', [0], 1n],
      ['a full sector', [0], 256n],
      ['15 sectors, one byte into the last', [3, 2, 1, 0], 256n * 14n + 1n],
      ['16 sectors, a byte more than fits in 15', [4], 256n * 15n + 1n],
      ['32 sectors in one node, a byte more than fits in 30', [5], 256n * 30n + 1n],
      ['18 sectors in two nodes, a byte more than fits in 16', [4, 1], 256n * 16n + 1n],
      ['1152 sectors in two nodes, a byte more than fits in 1024', [10, 7], 256n * 1024n + 1n],
      ['four nodes', [12, 11, 10, 9], 256n * 7680n],
    ]
    const invalid: [string, number[], bigint][] = [
      ['no node', [], 1n],
      ['zero bytes', [0], 0n],
      ['more bytes than sectors hold', [0], 257n],
      ['two nodes of one height', [3, 3], 256n * 16n],
      ['rising heights', [3, 4], 256n * 24n],
      ['a fall of four heights', [4, 0], 256n * 17n],
      ['a fall of four heights in small steps', [6, 5, 4, 3, 2], 256n * 124n],
      ['a height of 64', [64], 256n],
      ['15 sectors where 14 would do', [3, 2, 1, 0], 256n * 14n],
      ['16 sectors where 15 would do', [4], 256n * 15n],
      ['32 sectors where 30 would do', [5], 256n * 30n],
      ['18 sectors where 16 would do', [4, 1], 256n * 16n],
      ['1152 sectors where 1024 would do', [10, 7], 256n * 1024n],
    ]
    for (const [what, heights, length] of valid)
      it(`accepts ${what}`, async () => {
        const { flow, alice } = await networkHelpers.loadFixture(fixture)
        await flow.connect(alice)[SUBMIT_LEGACY](dataOf(heights, length), { value: sectorsOf(heights) * price })
        expect(await flow.numSubmissions()).to.equal(1n)
      })
    for (const [what, heights, length] of invalid)
      it(`refuses ${what}`, async () => {
        const { flow, alice } = await networkHelpers.loadFixture(fixture)
        await expect(flow.connect(alice)[SUBMIT_LEGACY](dataOf(heights, length), { value: 10n ** 18n })).to.be.revertedWithCustomError(
          flow,
          'InvalidSubmission',
        )
      })
    it('refuses an empty batch', async () => {
      const { flow, alice } = await networkHelpers.loadFixture(fixture)
      await expect(flow.connect(alice)[BATCH_SUBMIT]([])).to.be.revertedWithCustomError(flow, 'InvalidSubmission')
      await expect(flow.connect(alice)[BATCH_SUBMIT_LEGACY]([])).to.be.revertedWithCustomError(flow, 'InvalidSubmission')
    })
    it('refuses what does not fit into a log of 2^64 sectors', async () => {
      const { flow, alice } = await networkHelpers.loadFixture(freeFixture)
      await expect(flow.connect(alice)[SUBMIT_LEGACY](dataOf([63])))
        .to.be.revertedWithCustomError(flow, 'FlowFull')
        .withArgs(2n ** 63n, 2n ** 63n)
    })
  })

  describe('placement', () => {
    const cases: [string, number[], number[], bigint][] = [
      ['next to the last sector', [0], [0], 2n],
      ['at a multiple of the first node', [0], [4], 16n],
      ['inside the segment while it fits', [8, 7], [7], 640n],
      ['inside the segment if it ends with it', [8, 7], [8], 768n],
      ['at the next segment if it would straddle two', [8, 7], [8, 7], 1024n],
      ['on the segment it starts, however long', [10], [11, 8], 2048n],
    ]
    for (const [where, before, heights, start] of cases)
      it(`is ${where}`, async () => {
        const { flow, alice } = await networkHelpers.loadFixture(fixture)
        await flow.connect(alice)[SUBMIT_LEGACY](dataOf(before), { value: sectorsOf(before) * price })
        const [, , startIndex] = await flow.connect(alice)[SUBMIT_LEGACY].staticCall(dataOf(heights), { value: sectorsOf(heights) * price })
        expect(startIndex).to.equal(start)
      })
  })

  it('appends a batch as single submissions would, through both overloads', async () => {
    const { flow, alice } = await networkHelpers.loadFixture(fixture)
    const heights = [[0], [4, 1], [10, 7], [2]]
    const datas = heights.map((h, i) => ({ ...dataOf(h), nodes: h.map((height) => ({ root: id(`${i} ${height}`), height })) }))
    const value = heights.reduce((sum, h) => sum + sectorsOf(h), 0n) * price
    const root = async (send: () => Promise<unknown>) => {
      const snapshot = await networkHelpers.takeSnapshot()
      await send()
      const state = [await flow.computeFlowRoot(), await flow.tree(), await flow.numSubmissions()]
      await snapshot.restore()
      return state
    }
    const single = await root(async () => {
      for (const [i, data] of datas.entries()) await flow.connect(alice)[SUBMIT_LEGACY](data, { value: sectorsOf(heights[i]!) * price })
    })
    expect(await root(() => flow.connect(alice)[BATCH_SUBMIT_LEGACY](datas, { value }))).to.deep.equal(single)
    const submissions = datas.map((data) => ({ data, submitter: alice.address }))
    expect(await root(() => flow.connect(alice)[BATCH_SUBMIT](submissions, { value }))).to.deep.equal(single)
    const [indexes, digests, starts, lengths] = await flow.connect(alice)[BATCH_SUBMIT].staticCall(submissions, { value })
    expect(indexes).to.deep.equal([0n, 1n, 2n, 3n])
    expect(starts).to.deep.equal([1n, 16n, 1024n, 2176n])
    expect(lengths).to.deep.equal(heights.map(sectorsOf))
    expect(digests[0]).to.equal(solidityPackedKeccak256(['bytes32'], [id('0 0')]))
  })
})

import { expect } from 'chai'
import type { Signer } from 'ethers'
import { network } from 'hardhat'
import { AvailabilityChallenges__factory, GreedyAccount__factory } from '../../../typechain-types/index.ts'
import { DAY } from './deploy.ts'
import { CHUNKED, certified, type Opened, openedBlob, SMALL, scene } from './scene.ts'

// A fixed gas limit: an estimate would run at another time than the one that a test sets for the next block.
const { ethers, networkHelpers } = await network.create({ override: { gas: 16_000_000 } })
const COIN = 10n ** 18n
const STAKE = 100n * COIN
const PENALTY = 10n * COIN
const DEPOSIT = COIN / 20n

/** Arguments of `open`. */
const questionOf = ({ blob, owner, opening }: Opened, batch: { root: string; proof(i: number): string[] }, absent: string, blobIndex = 0) => ({
  batchRoot: batch.root,
  absent,
  blobIndex,
  blobProof: batch.proof(blobIndex),
  blob,
  member: owner,
  row: opening.row,
  chunk: opening.chunk,
})

/** Two blobs in a batch that all but the last of four signed; of each a chunk is known that one of the three holds. */
async function signed() {
  const of = await scene(ethers)
  const bySigner = ({ owner }: Opened) => owner !== 3
  const first = openedBlob(of.epoch, CHUNKED, 'first', { chunk: 1, where: bySigner })
  // The short one at the end of a row.
  const second = openedBlob(of.epoch, CHUNKED, 'second', { chunk: 2, where: bySigner })
  const byAbsent = openedBlob(of.epoch, SMALL, 'third', { where: ({ owner }) => owner === 3 })
  const blobs = [first, second, byAbsent]
  const batch = await certified(
    of,
    blobs.map(({ blobId }) => blobId),
    [3],
  )
  const question = (opened: Opened, changes: object = {}) => ({
    ...questionOf(opened, batch, '0x0003', Math.max(0, blobs.indexOf(opened))),
    ...changes,
  })
  const accountOf = ({ owner }: Opened) => of.epoch.members[owner]!.account
  const walletOf = (opened: Opened): Signer => of.signers.find(({ wallet }) => wallet.address === accountOf(opened))!.wallet
  const idOf = (opened: Opened) => of.availability.challengeId(opened.blobId, accountOf(opened), opened.opening.row, opened.opening.chunk)
  const open = (opened: Opened, changes: object = {}) => of.availability.open(question(opened, changes), { value: DEPOSIT })
  const answer = async (opened: Opened) => of.availability.answer(await idOf(opened), opened.opening.data, opened.opening.path)
  return { ...of, first, second, byAbsent, batch, question, accountOf, walletOf, idOf, open, answer }
}
const load = () => networkHelpers.loadFixture(signed)
const seven = () => scene(ethers, {}, 7)

describe('AvailabilityChallenges: opening', () => {
  it('locks the penalty in the bond of the member', async () => {
    const { availability, bonds, da, first, challenger, accountOf, idOf, open } = await load()
    const tx = await open(first)
    const id = await idOf(first)
    const { timestamp } = (await ethers.provider.getBlock(tx.blockNumber!))!
    const deadline = BigInt(timestamp) + (await availability.answerTime())
    const account = accountOf(first)
    await expect(tx)
      .to.emit(availability, 'ChallengeOpened')
      .withArgs(id, account, await challenger.getAddress(), first.blobId, 5n, 1n, deadline)
    await expect(tx).to.changeEtherBalances(ethers, [challenger, availability], [-DEPOSIT, DEPOSIT])
    const bond = await da.bondIdOf(account)
    expect(await bonds.lockedBy(bond, availability.target)).to.equal(PENALTY)
    expect(await availability.challenge(id)).to.deep.equal([
      await challenger.getAddress(),
      PENALTY,
      account,
      deadline,
      5n,
      bond,
      first.blob.rowRoot,
      1n,
      1088n,
      10n,
    ])
  })

  it('is of what the member signed and must hold, and of nothing else', async () => {
    const of = await load()
    const { availability, first, byAbsent, question, batch } = of
    const revert = (changes: object, error: string, ...args: unknown[]) =>
      expect(availability.open(question(first, changes), { value: DEPOSIT }))
        .to.be.revertedWithCustomError(availability, error)
        .withArgs(...args)
    const none = ethers.id('none')
    await revert({ batchRoot: none }, 'NotCertified', none)
    await revert({ blobIndex: 1 }, 'NotInBatch', first.blobId)
    await revert({ blobProof: batch.proof(1) }, 'NotInBatch', first.blobId)
    await revert({ absent: '0x' }, 'DidNotSign', first.owner)
    await revert({ absent: '0x0002' }, 'DidNotSign', first.owner)
    const other = (first.owner + 1) % 3
    await revert({ member: other }, 'NotHolder', other, 5n)
    await revert({ member: 4 }, 'NotHolder', 4n, 5n)
    await revert({ row: 1024 }, 'NotHolder', first.owner, 1024n)
    await revert({ chunk: 3 }, 'NoSuchChunk', 3n)
    await expect(availability.open(question(byAbsent), { value: DEPOSIT }))
      .to.be.revertedWithCustomError(availability, 'DidNotSign')
      .withArgs(3n)
    // Another blob of the same bytes is none of the batch's.
    await expect(
      availability.open(question(first, { blob: { ...first.blob, length: first.blob.length - 1 } }), { value: DEPOSIT }),
    ).to.be.revertedWithCustomError(availability, 'NotInBatch')
    for (const value of [0n, DEPOSIT - 1n, DEPOSIT + 1n])
      await expect(availability.open(question(first), { value }))
        .to.be.revertedWithCustomError(availability, 'WrongDeposit')
        .withArgs(value, DEPOSIT)
  })

  it('is refused for a shape that no blob has, even if all signed it', async () => {
    const of = await load()
    const blob = { ...of.first.blob, rowSize: 1088 + 32 }
    const id = ethers.sha256(
      ethers.concat([ethers.toUtf8Bytes('row-da/v1'), '0x0101080a', ethers.toBeHex(1120, 4), ethers.toBeHex(blob.length, 8), blob.rowRoot, blob.rlcRoot]),
    )
    const { root } = await certified(of, [id])
    let member = 0
    while (member < 3 && !(await of.da.holds(1, member, id, 8, 5))) member++
    await expect(of.open(of.first, { batchRoot: root, absent: '0x', blobIndex: 0, blobProof: [], blob, member }))
      .to.be.revertedWithCustomError(of.availability, 'NotInBatch')
      .withArgs(id)
  })

  it('is of one thing once at a time', async () => {
    const { availability, first, second, idOf, open, answer } = await load()
    await open(first)
    await expect(open(first))
      .to.be.revertedWithCustomError(availability, 'AlreadyOpen')
      .withArgs(await idOf(first))
    await open(second)
    await answer(first)
    await open(first)
  })

  it('is known by the blob, the member, the row and the chunk, and leaves others free', async () => {
    const { availability, first, open } = await load()
    const id = (...parts: [string, string, number, number]) =>
      BigInt(ethers.keccak256(ethers.AbiCoder.defaultAbiCoder().encode(['bytes32', 'address', 'uint32', 'uint32'], parts)))
    const [blob, account, row, chunk] = [first.blobId, ethers.Wallet.createRandom().address, 5, 1] as const
    expect(await availability.challengeId(blob, account, row, chunk)).to.equal(id(blob, account, row, chunk))
    for (const other of [0, 1, 2]) await expect(open(first, { chunk: other })).to.emit(availability, 'ChallengeOpened')
  })

  it('is of members anywhere between those that are absent, and of none of those', async () => {
    const of = await networkHelpers.loadFixture(seven)
    const blobs = [0, 1, 2, 3, 4, 5, 6].map((member) => openedBlob(of.epoch, CHUNKED, `of ${member}`, { where: ({ owner }) => owner === member }))
    const batch = await certified(
      of,
      blobs.map(({ blobId }) => blobId),
      [1, 5],
    )
    for (const [member, opened] of blobs.entries()) {
      const sent = of.availability.open(questionOf(opened, batch, '0x00010005', member), { value: DEPOSIT })
      if (member === 1 || member === 5) await expect(sent).to.be.revertedWithCustomError(of.availability, 'DidNotSign').withArgs(member)
      else await expect(sent).to.emit(of.availability, 'ChallengeOpened')
    }
  })

  it('ends with the retention', async () => {
    const { availability, da, batch, first, open } = await load()
    const [, certifiedAt] = await da.certificateOf(batch.root)
    const last = certifiedAt + (await availability.retention())
    await networkHelpers.time.setNextBlockTimestamp(last)
    const opened = await networkHelpers.takeSnapshot()
    await open(first)
    await opened.restore()
    await networkHelpers.time.setNextBlockTimestamp(last + 1n)
    await expect(open(first)).to.be.revertedWithCustomError(availability, 'CertificateTooOld').withArgs(batch.root)
  })
})

describe('AvailabilityChallenges: an answer', () => {
  it('in time frees the stake, and earns the deposit, whoever sends it (I64)', async () => {
    const { availability, bonds, da, first, stranger, accountOf, walletOf, idOf, open } = await load()
    await open(first)
    const id = await idOf(first)
    const { deadline } = await availability.challenge(id)
    await networkHelpers.time.setNextBlockTimestamp(deadline)
    const { data, path } = first.opening
    await expect(availability.connect(stranger).answer(id, data, path))
      .to.emit(availability, 'ChallengeAnswered')
      .withArgs(id, accountOf(first))
    const bond = await da.bondIdOf(accountOf(first))
    expect([await bonds.lockedBy(bond, availability.target), await bonds.bonded(bond)]).to.deep.equal([0n, STAKE])
    expect(await availability.depositsOf(accountOf(first))).to.equal(DEPOSIT)
    await networkHelpers.time.increase(DAY)
    await expect(availability.conclude(id)).to.be.revertedWithCustomError(availability, 'UnknownChallenge').withArgs(id)
    await expect(availability.answer(id, data, path))
      .to.be.revertedWithCustomError(availability, 'UnknownChallenge')
      .withArgs(id)
    const tx = availability.connect(walletOf(first)).withdraw(await stranger.getAddress())
    await expect(tx).to.changeEtherBalances(ethers, [availability, stranger], [-DEPOSIT, DEPOSIT])
    await expect(tx)
      .to.emit(availability, 'DepositWithdrawn')
      .withArgs(accountOf(first), await stranger.getAddress(), DEPOSIT)
  })

  it('earns as often as there are challenges', async () => {
    const { availability, first, accountOf, open, answer } = await load()
    for (const times of [1n, 2n]) {
      await open(first)
      await answer(first)
      expect(await availability.depositsOf(accountOf(first))).to.equal(times * DEPOSIT)
    }
  })

  it('is the chunk that was asked for, and comes in time', async () => {
    const { availability, first, second, idOf, open } = await load()
    await open(first)
    const id = await idOf(first)
    const { data, path } = first.opening
    for (const [chunk, siblings] of [
      [second.opening.data, path],
      [data, second.opening.path],
      [data, path.slice(1)],
      [ethers.dataSlice(data, 1), path],
      ['0x', []],
    ] as const)
      await expect(availability.answer(id, chunk, [...siblings])).to.be.revertedWithCustomError(availability, 'InvalidChunk')
    const { deadline } = await availability.challenge(id)
    await networkHelpers.time.setNextBlockTimestamp(deadline + 1n)
    await expect(availability.answer(id, data, path))
      .to.be.revertedWithCustomError(availability, 'TooLate')
      .withArgs(deadline)
  })
})

describe('AvailabilityChallenges: a miss', () => {
  it('costs the penalty: half is the challenger’s, half nobody’s', async () => {
    const { availability, bonds, da, first, challenger, stranger, accountOf, idOf, open } = await load()
    await open(first)
    const id = await idOf(first)
    const { deadline } = await availability.challenge(id)
    await networkHelpers.time.setNextBlockTimestamp(deadline)
    await expect(availability.conclude(id)).to.be.revertedWithCustomError(availability, 'TooEarly').withArgs(deadline)
    await expect(availability.connect(stranger).conclude(id))
      .to.emit(availability, 'ChallengeMissed')
      .withArgs(id, accountOf(first), PENALTY, PENALTY / 2n)
    const bond = await da.bondIdOf(accountOf(first))
    expect([await bonds.bonded(bond), await bonds.lockedBy(bond, availability.target)]).to.deep.equal([STAKE - PENALTY, 0n])
    expect(await bonds.compensation(challenger)).to.equal(PENALTY / 2n)
    expect(await bonds.compensation(ethers.ZeroAddress)).to.equal(PENALTY / 2n)
    expect(await availability.depositsOf(challenger)).to.equal(DEPOSIT)
    await expect(availability.withdraw(await challenger.getAddress())).to.changeEtherBalance(ethers, challenger, DEPOSIT)
    await expect(availability.conclude(id)).to.be.revertedWithCustomError(availability, 'UnknownChallenge')
  })

  it('leaves the lock of another challenge alone', async () => {
    const of = await load()
    const again = openedBlob(of.epoch, SMALL, 'again', { where: ({ owner }) => owner === of.first.owner })
    const batch = await certified(of, [again.blobId])
    await of.open(of.first)
    await networkHelpers.time.increase(60)
    await of.open(again, { batchRoot: batch.root, absent: '0x', blobIndex: 0, blobProof: [] })
    await networkHelpers.time.increase((await of.availability.answerTime()) - 30n)
    await of.availability.conclude(await of.idOf(of.first))
    expect(await of.bonds.lockedBy(await of.da.bondIdOf(of.accountOf(of.first)), of.availability.target)).to.equal(PENALTY)
    await of.answer(again)
  })

  it('costs as much where the signer locked everything by challenging itself', async () => {
    const { availability, bonds, da, first, challenges, accountOf, idOf, open } = await load()
    const bond = await da.bondIdOf(accountOf(first))
    await bonds.connect(challenges).lock(bond, STAKE)
    await open(first)
    const id = await idOf(first)
    expect((await availability.challenge(id)).locked).to.equal(0n)
    await networkHelpers.time.increase(DAY)
    await expect(availability.conclude(id))
      .to.emit(availability, 'ChallengeMissed')
      .withArgs(id, accountOf(first), PENALTY, PENALTY / 2n)
    expect(await bonds.bonded(bond)).to.equal(STAKE - PENALTY)
  })

  it('takes what is left where it is less, and burns half of that too', async () => {
    const { availability, bonds, da, first, challenger, challenges, stranger, accountOf, walletOf, idOf, open } = await load()
    const bond = await da.bondIdOf(accountOf(first))
    await bonds.connect(challenges).slash(bond, STAKE - 5n, await stranger.getAddress())
    await bonds.connect(walletOf(first)).unbond(bond, 3n)
    await open(first)
    const id = await idOf(first)
    expect((await availability.challenge(id)).locked).to.equal(5n)
    await networkHelpers.time.increase(400)
    await expect(availability.conclude(id)).to.emit(availability, 'ChallengeMissed').withArgs(id, accountOf(first), 5n, 2n)
    expect(await bonds.compensation(challenger)).to.equal(2n)
    // Nothing is left: the deposit still comes back.
    await open(first)
    await networkHelpers.time.increase(400)
    await expect(availability.conclude(id)).to.emit(availability, 'ChallengeMissed').withArgs(id, accountOf(first), 0n, 0n)
    expect(await availability.depositsOf(challenger)).to.equal(2n * DEPOSIT)
  })

  it('finds the stake, also when it was asked back right after it counted for the epoch (I65)', async () => {
    const { availability, bonds, da, batch, first, accountOf, walletOf, idOf, open } = await load()
    const bond = await da.bondIdOf(accountOf(first))
    const signer = walletOf(first)
    await bonds.connect(signer).unbond(bond, STAKE)
    const { unbondsAt } = await bonds.bondOf(bond)
    const [, certifiedAt] = await da.certificateOf(batch.root)
    await networkHelpers.time.setNextBlockTimestamp(certifiedAt + (await availability.retention()))
    await open(first)
    const id = await idOf(first)
    const { deadline } = await availability.challenge(id)
    expect(deadline, 'the last challenge ends before stake can leave').to.be.lessThan(unbondsAt)
    await networkHelpers.time.setNextBlockTimestamp(unbondsAt)
    await bonds.connect(signer).withdraw(bond, await signer.getAddress())
    expect((await bonds.bondOf(bond)).unbonding, 'what is locked stays').to.equal(PENALTY)
    await expect(availability.conclude(id))
      .to.emit(availability, 'ChallengeMissed')
      .withArgs(id, accountOf(first), PENALTY, PENALTY / 2n)
  })
})

describe('AvailabilityChallenges: deposits', () => {
  it('are paid once, and kept where the receiver refuses them', async () => {
    const of = await load()
    const { availability, first } = of
    await expect(availability.withdraw(await of.challenger.getAddress())).to.be.revertedWithCustomError(availability, 'NothingToWithdraw')
    const greedy = await new GreedyAccount__factory(of.challenger).deploy()
    await greedy.execute(availability.target, availability.interface.encodeFunctionData('open', [of.question(first)]), { value: DEPOSIT })
    await of.open(of.second)
    await networkHelpers.time.increase(DAY)
    await availability.conclude(await of.idOf(first))
    const run = (to: string) => greedy.execute(availability.target, availability.interface.encodeFunctionData('withdraw', [to]))
    await expect(run(availability.target as string))
      .to.be.revertedWithCustomError(availability, 'TransferRejected')
      .withArgs(availability.target, DEPOSIT)
    await expect(run(greedy.target as string)).to.changeEtherBalances(ethers, [availability, greedy], [-DEPOSIT, DEPOSIT])
    expect(await greedy.reentered()).to.equal(0n)
  })

  it('and the rest of the parameters are checked', async () => {
    const of = await load()
    const valid = { deposit: 0n, penalty: 1n, answerTime: 60n, retention: 1n }
    const make = (changes: object) => new AvailabilityChallenges__factory(of.governor).deploy(of.at.DataAvailability!, of.at.Bonds!, { ...valid, ...changes })
    const made = await make({})
    for (const [name, value, min, max] of [
      ['penalty', 0n, 1n, 2n ** 96n - 1n],
      ['answerTime', 59n, 60n, 7n * 86_400n],
      ['answerTime', 7n * 86_400n + 1n, 60n, 7n * 86_400n],
      ['retention', 0n, 1n, 90n * 86_400n],
      ['retention', 90n * 86_400n + 1n, 1n, 90n * 86_400n],
    ] as const)
      await expect(make({ [name]: value }))
        .to.be.revertedWithCustomError(made, 'InvalidParameter')
        .withArgs(ethers.encodeBytes32String(name), value, min, max)
  })
})

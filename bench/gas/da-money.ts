import type { ContractTransactionResponse } from 'ethers'
import { network } from 'hardhat'
import { PROFILES } from '../../deploy/profiles.ts'
import { promised, redemptionOf } from '../../test/contracts/da/promises.ts'
import { certified, LARGE, openedBlob, pickedBlob, SMALL, sampleOf, scene } from '../../test/contracts/da/scene.ts'
import type { Row } from '../report.ts'

/** Of the reference's contract, measured on the same kind of chain with slots that were written before: 1,024 bytes and 15 siblings. */
const REFERENCE_SAMPLE = 173_257

/** Gas of rewards, payments and challenges of data availability, and of the entrance that others know. */
export async function daMoneyRows(progress: (what: string) => void): Promise<Row[]> {
  const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
  const { sampling, retention } = PROFILES.mainnet!.da!
  const of = await scene(ethers, { retention, sampling: { ...sampling, baseReward: 10n ** 15n, donation: 10n ** 18n } })
  const { rewards, payments, availability, entrance, payer, disperser } = of
  const rows: Row[] = []
  const add = (key: string, what: string, value: number, more: Partial<Row> = {}) =>
    rows.push({ id: `da.${key}`, what, value, unit: 'gas', better: 'less', ...more })

  progress('sampling')
  await rewards.fund({ value: 10n ** 18n })
  const submit = async (name: string) => {
    // Of the first member, whose account was rewarded before.
    const opened = await pickedBlob(of, LARGE, name, ({ owner }) => owner === 0)
    const batch = await certified(of, [opened.blobId])
    return gasOf(rewards.submit(sampleOf(opened, batch)))
  }
  const nextRound = () => networkHelpers.mine(Number(sampling.roundBlocks))
  await nextRound()
  await submit('before')
  await nextRound()
  add('sampleFirst', 'submit, first of a round', await submit('first'))
  add('sample', 'submit, 512 bytes of 32 MiB, 18 siblings', await submit('second'), { reference: REFERENCE_SAMPLE, target: 95_000 })
  const { wallet } = of.signers[0]!
  add('withdrawRewards', 'withdraw, rewards', await gasOf(rewards.connect(wallet).withdraw(`0x${'b0'.repeat(20)}`)))

  progress('payments')
  add('deposit', 'deposit, first', await gasOf(payments.deposit(payer, { value: 10n ** 18n })))
  const redeem = async (count: number, name: string) => {
    const blobs = Array.from({ length: count }, (_, i) => openedBlob(of.epoch, SMALL, `${name} ${i}`).blobId)
    const batch = await certified(of, blobs)
    const redemptions = await Promise.all(blobs.map(async (blobId, i) => redemptionOf(await promised(of, { blobId, nonce: BigInt(i) }), batch, i)))
    return gasOf(payments.connect(disperser).redeem(batch.root, redemptions))
  }
  await redeem(1, 'before')
  const [one, thirty] = [await redeem(1, 'one'), await redeem(30, 'thirty')]
  add('redeem1', 'redeem, 1 promise', one)
  add('redeem30', 'redeem, 30 promises', thirty)
  add('redeemMarginal', 'redeem, each more', Math.round((thirty - one) / 29))

  progress('challenges')
  const opened = openedBlob(of.epoch, LARGE, 'challenged')
  const missed = openedBlob(of.epoch, LARGE, 'missed')
  const batch = await certified(of, [opened.blobId, missed.blobId])
  const value = await availability.deposit()
  const question = ({ blob, opening: { row, chunk }, owner }: typeof opened, blobIndex: number) => ({
    batchRoot: batch.root,
    absent: '0x',
    blobIndex,
    blobProof: batch.proof(blobIndex),
    blob,
    member: owner,
    row,
    chunk,
  })
  const idOf = ({ blobId, opening: { row, chunk }, owner }: typeof opened) => availability.challengeId(blobId, of.epoch.members[owner]!.account, row, chunk)
  add('challenge', 'open a challenge', await gasOf(availability.open(question(opened, 0), { value })))
  await gasOf(availability.open(question(missed, 1), { value }))
  add('answer', 'answer it, 512 bytes, 18 siblings', await gasOf(availability.answer(await idOf(opened), opened.opening.data, opened.opening.path)))
  await networkHelpers.time.increase((await availability.answerTime()) + 1n)
  add('conclude', 'conclude one that was missed', await gasOf(availability.conclude(await idOf(missed))))

  progress('entrance')
  add('materialise', 'materialise a commitment, batch of 2', await gasOf(entrance.materialise(opened.blob, batch.root, 0, batch.proof(0))))
  return rows
}

async function gasOf(sent: Promise<ContractTransactionResponse>): Promise<number> {
  return Number((await (await sent).wait())!.gasUsed)
}

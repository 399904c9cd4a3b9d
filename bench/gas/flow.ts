import { type ContractTransactionResponse, id, type Signer } from 'ethers'
import { network } from 'hardhat'
import { AddressBook } from '../../deploy/address-book.ts'
import { deploy } from '../../deploy/deploy.ts'
import { PROFILES } from '../../deploy/profiles.ts'
import { type Flow, Flow__factory, StorageMarket__factory } from '../../typechain-types/index.ts'
import type { Row } from '../report.ts'

const SUBMIT = 'submit(((uint256,bytes,(bytes32,uint256)[]),address))'
const BATCH_SUBMIT = 'batchSubmit(((uint256,bytes,(bytes32,uint256)[]),address)[])'

/** Heights of the nodes of a file of this size. */
const B256 = [0]
const KB4 = [4]
const KB256 = [10]
const MB256 = [20]
const SAMPLES = 16

/** Gas of the reference contracts, measured behind their proxies on the same kind of chain, on a log of 1.5 TB, with slots that were written before. */
const reference = {
  fresh: 412_956,
  b256: 345_256,
  kb4: 320_750,
  kb256: 291_140,
  mb256: 230_431,
  nodesSmall: 329_830,
  nodesLarge: 281_025,
  rollOne: 372_943,
  rollTen: 1_115_879,
  batch1: 283_702,
  batch10: 1_135_795,
  batch50: 4_928_442,
  batchMarginal: 94_800,
  gb512: 6_330_266,
  contextNone: 38_022,
  contextIdle: undefined,
  context1: 201_410,
  context10: 930_912,
  context145: 6_366_548,
}

/** Gas of the log and its market, fee and reward accounting included, on the profile of the public networks. */
export async function flowRows(progress: (what: string) => void): Promise<Row[]> {
  // A fixed date: the same calls cost the same gas on any day.
  const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
  const [, deployer, uploader] = (await ethers.getSigners()) as unknown as Signer[] as [Signer, Signer, Signer]
  const contracts = await deploy({ signer: deployer, profile: PROFILES.mainnet!, book: AddressBook.open(31337) })
  const flow = Flow__factory.connect(contracts.Flow!, uploader)
  const market = StorageMarket__factory.connect(contracts.StorageMarket!, uploader)
  const uploads = await createUploads(flow, await market.pricePerSector())
  const perEpoch = Number(await flow.blocksPerEpoch())
  /** Goes on to the second block of an epoch, so many epochs later. */
  const pass = async (epochs: number) => {
    const next = Number(await flow.firstBlock()) + (Number(await flow.epoch()) + epochs) * perEpoch + 1
    await networkHelpers.mineUpTo(next)
  }
  const rows: Row[] = []
  const add = (key: keyof typeof reference, what: string, value: number, target?: number) =>
    rows.push({ id: `flow.${key}`, what, value, unit: 'gas', better: 'less', ...(reference[key] && { reference: reference[key] }), ...(target && { target }) })

  progress('a log of 1.5 TB')
  add('fresh', 'submit 256 KB, first of all', await uploads.submit(KB256))
  for (const height of [32, 31]) await uploads.submit([height])
  // Every peak of the log is written once, as a full log would have them.
  for (const height of [20, 18, 16, 14, 12, 10, 7, 4, 2, 1, 0]) for (let i = 0; i < 4; i++) await uploads.submit([height])

  progress('submissions')
  add('b256', 'submit 256 B', await uploads.average(B256))
  add('kb4', 'submit 4 KB', await uploads.average(KB4))
  add('kb256', 'submit 256 KB', await uploads.average(KB256), 100_000)
  add('mb256', 'submit 256 MB', await uploads.average(MB256), 100_000)
  add('nodesSmall', 'submit 4 nodes, 1 MB', await uploads.average([11, 10, 9, 8]))
  add('nodesLarge', 'submit 4 nodes, 500 MB', await uploads.average([20, 19, 18, 17]))

  progress('batches')
  await uploads.batch(64)
  const [one, ten, fifty] = [await uploads.batch(1), await uploads.batch(10), await uploads.batch(50)]
  add('batch1', 'batchSubmit 256 KB ×1', one)
  add('batch10', 'batchSubmit 256 KB ×10', ten)
  add('batch50', 'batchSubmit 256 KB ×50', fifty)
  add('batchMarginal', 'batchSubmit 256 KB, each more', Math.round((fifty - one) / 49), 45_000)

  progress('epochs')
  await pass(1)
  await flow.makeContext()
  add('contextNone', 'makeContext, nothing to do', await gasOf(flow.makeContext()))
  await pass(1)
  add('contextIdle', 'makeContext, 1 epoch without submissions', await gasOf(flow.makeContext()))
  for (const [key, behind] of [
    ['context1', 1],
    ['context10', 10],
    ['context145', 145],
  ] as const) {
    await uploads.submit(KB256)
    await pass(behind)
    add(key, `makeContext, ${behind} epoch${behind > 1 ? 's' : ''} behind`, await gasOf(flow.makeContext()))
  }
  for (const [key, behind] of [
    ['rollOne', 1],
    ['rollTen', 10],
  ] as const) {
    await uploads.submit(KB256)
    await pass(behind)
    add(key, `submit 256 KB, ${behind} epoch${behind > 1 ? 's' : ''} behind`, await uploads.submit(KB256))
  }
  add('gb512', 'submit 512 GB', await uploads.submit([31]))
  return rows
}

async function gasOf(sent: Promise<ContractTransactionResponse>): Promise<number> {
  return Number((await (await sent).wait())!.gasUsed)
}

async function createUploads(flow: Flow, price: bigint) {
  const submitter = await (flow.runner as Signer).getAddress()
  let nodes = 0
  const submission = (heights: number[]) => ({
    data: {
      length: 256n * heights.reduce((sum, height) => sum + (1n << BigInt(height)), 0n),
      tags: '0x',
      nodes: heights.map((height) => ({ root: id(`node ${nodes++}`), height })),
    },
    submitter,
  })
  const feeOf = ({ data }: ReturnType<typeof submission>) => (data.length / 256n) * price

  const submit = (heights: number[]) => {
    const made = submission(heights)
    return gasOf(flow[SUBMIT](made, { value: feeOf(made) }))
  }
  const average = async (heights: number[]) => {
    let sum = 0
    for (let i = 0; i < SAMPLES; i++) sum += await submit(heights)
    return Math.round(sum / SAMPLES)
  }
  const batch = (count: number) => {
    const made = Array.from({ length: count }, () => submission(KB256))
    return gasOf(flow[BATCH_SUBMIT](made, { value: made.reduce((sum, each) => sum + feeOf(each), 0n) }))
  }
  return { submit, average, batch }
}

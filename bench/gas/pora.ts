import { type BytesLike, type ContractTransactionResponse, getBytes, type Signer } from 'ethers'
import { network } from 'hardhat'
import { loadKernel } from '../../codec/keccak/index.ts'
import { AddressBook } from '../../deploy/address-book.ts'
import { deploy } from '../../deploy/deploy.ts'
import { PROFILES } from '../../deploy/profiles.ts'
import { findAnswer } from '../../test/support/find-answer.ts'
import { UniformLog } from '../../test/support/uniform-log.ts'
import { Flow__factory, PoraMine__factory, StorageMarket__factory, StorageRewards__factory } from '../../typechain-types/index.ts'
import type { Row } from '../report.ts'

/** 2^32 sectors are 1 TiB. */
const LOG_HEIGHT = 32
/** Zero bytes of the measured calldata. They are cheaper than others and their number is random, so answers are chosen that have the usual number. */
const ZERO_BYTES = 318

/** Gas of the reference contracts, measured behind their proxies on the same kind of chain, with a log of 1 TB. */
const reference = { first: 464_961, steady: 410_696, epoch: 429_619, minerId: 54_490, withdrawal: 46_037 }

/** Gas of proofs of random access, rewards included. */
export async function poraRows(progress: (what: string) => void): Promise<Row[]> {
  const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
  const [, deployer, miner, sender] = (await ethers.getSigners()) as unknown as Signer[] as [Signer, Signer, Signer, Signer]
  const { storage, ...rest } = PROFILES.mainnet!
  // Whether a seal wins costs the same at any difficulty.
  const profile = { ...rest, storage: { ...storage!, baseReward: 1n, basePool: 100n, pora: { ...storage!.pora, difficulty: 1n, minDifficulty: 1n } } }
  const contracts = await deploy({ signer: deployer, profile, book: AddressBook.open(31337) })
  const flow = Flow__factory.connect(contracts.Flow!, deployer)
  const mine = PoraMine__factory.connect(contracts.PoraMine!, sender)
  const rewards = StorageRewards__factory.connect(contracts.StorageRewards!, sender)
  const price = await StorageMarket__factory.connect(contracts.StorageMarket!, deployer).pricePerSector()
  const perEpoch = Number(await flow.blocksPerEpoch())
  /** Goes on to the second block of the next epoch. */
  const pass = async () => {
    const next = Number(await flow.firstBlock()) + (Number(await flow.epoch()) + 1) * perEpoch + 1
    await networkHelpers.mineUpTo(next)
    await flow.makeContext()
  }
  const rows: Row[] = []
  const add = (key: keyof typeof reference, what: string, value: number, target?: number) =>
    rows.push({ id: `pora.${key}`, what, value, unit: 'gas', better: 'less', reference: reference[key], ...(target !== undefined && { target }) })

  progress('a log of 1 TB')
  const data = Uint8Array.from({ length: 262_144 }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 24) | 1)
  const log = new UniformLog(loadKernel(), data, LOG_HEIGHT)
  for (let height = 10; height < LOG_HEIGHT; height++) {
    const sectors = 2n ** BigInt(height)
    const submission = { length: sectors * 256n, tags: '0x', nodes: [{ root: log.node(height), height }] }
    await flow['submit((uint256,bytes,(bytes32,uint256)[]))'](submission, { value: sectors * price })
  }

  progress('miner ids')
  const beneficiary = await miner.getAddress()
  await mine.requestMinerId(beneficiary, 1)
  const minerIdGas = await gasOf(mine.requestMinerId(beneficiary, 2))
  const [, registered] = await mine.queryFilter(mine.filters.NewMinerId())
  const { minerId } = registered!.args

  progress('answers')
  await pass()
  const sealedContext = (await flow.getContext()).digest
  let firstNonce = 1
  const answer = async () => {
    const work = await mine.computeWorkerContext.staticCall(minerId)
    const { argument, nonce } = findAnswer(log, work, {
      minerId,
      sealedContext,
      firstNonce,
      accept: (argument) => zeroBytes(mine.interface.encodeFunctionData('submit', [argument])) === ZERO_BYTES,
    })
    firstNonce = nonce + 1
    return gasOf(mine.submit(argument))
  }
  const intoSubtask = async () => {
    while ((await mine.computeWorkerContext.staticCall(minerId)).poraTarget === 0n) await networkHelpers.mine(profile.storage.pora.subtaskInterval)
  }
  await intoSubtask()
  add('first', 'answer with reward on a log of 1 TB, first of all', await answer())
  add('steady', 'answer with reward on a log of 1 TB', await answer(), 280_000)
  await pass()
  await intoSubtask()
  add('epoch', 'answer with reward on a log of 1 TB, first of an epoch', await answer())
  add('minerId', 'requestMinerId', minerIdGas)
  add('withdrawal', 'withdrawPayments', await gasOf(rewards.withdrawPayments(beneficiary)))
  return rows
}

const zeroBytes = (data: BytesLike): number => getBytes(data).filter((byte) => byte === 0).length

async function gasOf(sent: Promise<ContractTransactionResponse>): Promise<number> {
  return Number((await (await sent).wait())!.gasUsed)
}

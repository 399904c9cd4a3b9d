import type { HardhatEthers } from '@nomicfoundation/hardhat-ethers/types'
import { getCreateAddress, type Interface } from 'ethers'
import { loadKernel } from '../../../codec/keccak/index.ts'
import { AccessManager__factory, Flow__factory, PoraMine__factory, StorageMarket__factory, StorageRewards__factory } from '../../../typechain-types/index.ts'
import { UniformLog } from '../../support/uniform-log.ts'

export const kernel = loadKernel()
export const parameters = {
  difficulty: 1n,
  targetMineBlocks: 100,
  targetSubmissions: 10,
  difficultyAdjustRatio: 20,
  maxShards: 32,
  nSubtasks: 1,
  subtaskInterval: 100,
  minDifficulty: 1n,
}
export const BLOCKS_PER_EPOCH = 200
const DAY = 86_400

/** Log, market, rewards and mine behind their proxies; the deployer governs. */
export async function deployMining(ethers: HardhatEthers, options: { parameters?: Partial<typeof parameters>; flow?: string } = {}) {
  const [governor, miner, stranger] = await ethers.getSigners()
  if (!governor || !miner || !stranger) throw new Error('three accounts are needed')
  const manager = await new AccessManager__factory(governor).deploy(governor.address)
  const flowImplementation = await new Flow__factory(governor).deploy()
  const marketImplementation = await new StorageMarket__factory(governor).deploy()
  const mineImplementation = await new PoraMine__factory(governor).deploy()
  const nonce = await governor.getNonce()
  const [rewardsAt, flowAt, marketAt, mineAt] = [0, 1, 2, 3].map((i) => getCreateAddress({ from: governor.address, nonce: nonce + i }))
  const proxy = async (implementation: { target: unknown; interface: Interface }, args: readonly unknown[]) =>
    ethers.deployContract('ERC1967Proxy', [implementation.target, implementation.interface.encodeFunctionData('initialize', args)], governor)

  const rewards = await new StorageRewards__factory(governor).deploy(manager.target, mineAt!, 2 ** 25, 93 * DAY)
  await proxy(flowImplementation, [manager.target, marketAt, rewardsAt, BLOCKS_PER_EPOCH])
  await proxy(marketImplementation, [manager.target, flowAt, rewardsAt, 1_000_000n, 90 * DAY, 10 * DAY])
  await proxy(mineImplementation, [manager.target, options.flow ?? flowAt, rewardsAt, { ...parameters, ...options.parameters }])
  const flow = Flow__factory.connect(flowAt!, governor)
  const mine = PoraMine__factory.connect(mineAt!, governor)
  return { governor, miner, stranger, manager, flow, mine, rewards, market: StorageMarket__factory.connect(marketAt!, governor) }
}
export type Mining = Awaited<ReturnType<typeof deployMining>>

/** Data without a zero byte: every seal of it can win. */
export const someData = Uint8Array.from({ length: 262_144 }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 24) | 1)

/** Fills the log with `height` doublings of `someData`. */
export async function fillLog({ flow, market }: Mining, height: number): Promise<UniformLog> {
  const log = new UniformLog(kernel, someData, height)
  const price = await market.pricePerSector()
  for (let at = 10; at < height; at++) {
    const sectors = 2n ** BigInt(at)
    const data = { length: sectors * 256n, tags: '0x', nodes: [{ root: log.node(at), height: at }] }
    await flow['submit((uint256,bytes,(bytes32,uint256)[]))'](data, { value: sectors * price })
  }
  return log
}

export async function registerMiner(mine: Mining['mine'], beneficiary: string, seed = 1): Promise<string> {
  await mine.requestMinerId(beneficiary, seed)
  const [event] = await mine.queryFilter(mine.filters.NewMinerId(undefined, beneficiary), 'latest')
  return event!.args.minerId
}

import type { HardhatEthers } from '@nomicfoundation/hardhat-ethers/types'
import { getCreateAddress, type Interface } from 'ethers'
import { AccessManager__factory, Flow__factory, StorageMarket__factory, StorageRewards__factory } from '../../../typechain-types/index.ts'

export const DAY = 86_400
export const defaults = {
  blocksPerEpoch: 200,
  price: 1_000n,
  leasePeriod: 90 * DAY,
  gracePeriod: 10 * DAY,
  chunkSectors: 2 ** 25,
  releaseSeconds: 93 * DAY,
}

/** Flow, market and rewards behind their proxies; the deployer governs, `mine` is a plain account that may claim. */
export async function deployStorage(ethers: HardhatEthers, options: Partial<typeof defaults> = {}) {
  const { blocksPerEpoch, price, leasePeriod, gracePeriod, chunkSectors, releaseSeconds } = { ...defaults, ...options }
  const [governor, alice, bob, guardian, mine, treasury] = await ethers.getSigners()
  if (!governor || !alice || !bob || !guardian || !mine || !treasury) throw new Error('six accounts are needed')
  const manager = await new AccessManager__factory(governor).deploy(governor.address)
  const flowImplementation = await new Flow__factory(governor).deploy()
  const marketImplementation = await new StorageMarket__factory(governor).deploy()
  const rewards = await new StorageRewards__factory(governor).deploy(manager.target, mine.address, chunkSectors, releaseSeconds)
  const nonce = await governor.getNonce()
  const at = { flow: getCreateAddress({ from: governor.address, nonce }), market: getCreateAddress({ from: governor.address, nonce: nonce + 1 }) }
  const proxy = async (implementation: { target: unknown; interface: Interface }, args: readonly unknown[]) => {
    const data = implementation.interface.encodeFunctionData('initialize', args)
    const deployed = await ethers.deployContract('ERC1967Proxy', [implementation.target, data], governor)
    return deployed.target as string
  }
  const flow = Flow__factory.connect(await proxy(flowImplementation, [manager.target, at.market, rewards.target, blocksPerEpoch]), governor)
  const market = StorageMarket__factory.connect(
    await proxy(marketImplementation, [manager.target, at.flow, rewards.target, price, leasePeriod, gracePeriod]),
    governor,
  )
  return { governor, alice, bob, guardian, mine, treasury, manager, flow, market, rewards }
}

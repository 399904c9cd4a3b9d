import { expect } from 'chai'
import { network } from 'hardhat'
import { builtLayouts, checkLayouts, incompatibilities, recordedLayout } from '../../scripts/layouts.ts'
import { Flow__factory, StorageMarket__factory } from '../../typechain-types/index.ts'
import { defaults, deployStorage } from './storage/deploy.ts'
import { dataOf, SUBMIT_LEGACY } from './storage/submission.ts'

const { ethers, networkHelpers } = await network.create()
const fixture = () => deployStorage(ethers)

describe('Upgradeable contracts', () => {
  it('are initialised in the transaction that deploys their proxy (reference defect 15)', async () => {
    const { flow, market, manager, rewards, governor } = await networkHelpers.loadFixture(fixture)
    for (const contract of [flow, Flow__factory.connect(await implementation(flow.target), governor)])
      await expect(contract.initialize(manager.target, market.target, rewards.target, 200)).to.be.revertedWithCustomError(flow, 'InvalidInitialization')
    for (const contract of [market, StorageMarket__factory.connect(await implementation(market.target), governor)])
      await expect(contract.initialize(manager.target, flow.target, rewards.target, 1, 1, 1)).to.be.revertedWithCustomError(market, 'InvalidInitialization')
  })

  it('check what they are initialised with', async () => {
    const { flow, market, rewards, manager, governor } = await networkHelpers.loadFixture(fixture)
    const proxy = await ethers.getContractFactory('ERC1967Proxy')
    const flowWith = (...args: [string, string, number]) =>
      proxy.deploy(implementationOf.flow, flow.interface.encodeFunctionData('initialize', [manager.target, ...args]))
    const marketWith = (...args: [bigint, number, number]) =>
      proxy.deploy(implementationOf.market, market.interface.encodeFunctionData('initialize', [manager.target, flow.target, rewards.target, ...args]))
    const implementationOf = { flow: await implementation(flow.target), market: await implementation(market.target) }
    const peer = governor.address
    await expect(flowWith(ethers.ZeroAddress, peer, 200))
      .to.be.revertedWithCustomError(flow, 'InvalidPeers')
      .withArgs(ethers.ZeroAddress, peer)
    await expect(flowWith(peer, ethers.ZeroAddress, 200))
      .to.be.revertedWithCustomError(flow, 'InvalidPeers')
      .withArgs(peer, ethers.ZeroAddress)
    for (const blocks of [0, 2 ** 40])
      await expect(flowWith(peer, peer, blocks))
        .to.be.revertedWithCustomError(flow, 'InvalidEpochLength')
        .withArgs(blocks)
    await expect(marketWith(2n ** 96n, 1, 1)).to.be.revertedWithCustomError(market, 'PriceTooHigh')
    for (const [lease, grace] of [
      [0, 1],
      [2 ** 40, 1],
      [1, 2 ** 40],
    ] as const)
      await expect(marketWith(1n, lease, grace)).to.be.revertedWithCustomError(market, 'InvalidPeriod')
  })

  it('are replaced by their authority alone, and keep their state', async () => {
    const { flow, market, alice, governor } = await networkHelpers.loadFixture(fixture)
    await flow.connect(alice)[SUBMIT_LEGACY](dataOf([4]), { value: 16n * defaults.price })
    const before = [await flow.tree(), await flow.computeFlowRoot(), await market.leaseOf(0, 16, 16)]
    for (const [contract, factory] of [
      [flow, new Flow__factory(governor)],
      [market, new StorageMarket__factory(governor)],
    ] as const) {
      const next = await factory.deploy()
      await expect(contract.connect(alice).upgradeToAndCall(next.target, '0x')).to.be.revertedWithCustomError(contract, 'AccessManagedUnauthorized')
      await expect(contract.upgradeToAndCall(next.target, '0x')).to.emit(contract, 'Upgraded').withArgs(next.target)
      expect(await implementation(contract.target)).to.equal(next.target)
    }
    expect([await flow.tree(), await flow.computeFlowRoot(), await market.leaseOf(0, 16, 16)]).to.deep.equal(before)
  })

  it('are safe behind a proxy, with the layouts that are recorded', () => {
    expect(checkLayouts()).to.deep.equal([])
  })

  it('have layouts that may grow at the end and change nowhere else', () => {
    const before = recordedLayout('Flow')!
    expect(incompatibilities(before, builtLayouts().get('Flow')!)).to.equal('')
    const namespace = 'erc7201:perigee.storage.Flow'
    const variant = (change: (members: unknown[]) => void) => {
      const layout = structuredClone(before)
      change(layout.namespaces![namespace]!)
      return incompatibilities(before, layout)
    }
    expect(variant((members) => members.push({ ...(members.at(-1) as object), label: 'added', slot: '1000' }))).to.equal('')
    expect(variant((members) => members.splice(1, 0, { ...(members[1] as object), label: 'inserted' }))).to.contain('inserted')
    expect(variant((members) => members.splice(1, 1))).to.contain('market')
    expect(variant((members) => members.reverse())).not.to.equal('')
  })
})

async function implementation(proxy: unknown): Promise<string> {
  const slot = '0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc'
  const word = await ethers.provider.getStorage(proxy as string, slot)
  return ethers.getAddress(ethers.dataSlice(word, 12))
}

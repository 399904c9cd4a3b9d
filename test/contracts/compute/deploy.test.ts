import assert from 'node:assert/strict'
import { expect } from 'chai'
import { type ContractTransactionResponse, type Signer, ZeroAddress } from 'ethers'
import { network } from 'hardhat'
import { AddressBook } from '../../../deploy/address-book.ts'
import { deploy } from '../../../deploy/deploy.ts'
import { InferenceServing__factory, LedgerManager__factory } from '../../../typechain-types/index.ts'
import { deployCompute, INFERENCE, LOCK_TIME } from './deploy.ts'

const PRESET = {
  LedgerManager: '0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0',
  InferenceServing: '0x0165878A594ca255338adfa4d48449f69242Eb8F',
  FineTuningServing: '0xA51c1fc2f0D1a1b8494Ed1FE312d7C3a78Ed91C0',
}
const profile = { access: {}, stake: true as const, compute: { lockTime: BigInt(LOCK_TIME) } }

describe('Deployment of the compute contracts', () => {
  it('puts the proxies where the public client expects them on a local chain, initialised, and registers the service', async () => {
    const { ethers } = await network.create()
    const { at, ledger, serving, governor } = await deployCompute(ethers)
    expect(at).to.include(PRESET)
    expect((await ledger.getServiceInfo(at.InferenceServing!)).fullName).to.equal(INFERENCE)
    expect(await serving.ledgerAddress()).to.equal(at.LedgerManager)
    await expect(ledger.connect(governor).initialize(governor)).to.be.revertedWithCustomError(ledger, 'InvalidInitialization')
  })

  it('goes on after an interruption at any transaction, and changes nothing when run again', async () => {
    const { ethers } = await network.create()
    const [reserved, signer] = (await ethers.getSigners()) as unknown as [Signer, Signer]
    const book = AddressBook.open(31337)
    // The power goes after each number of transactions in turn, just after it was sent.
    let cuts = 0
    for (let allowed = 1; ; allowed++) {
      let left = allowed
      const failing = (account: Signer): Signer =>
        new Proxy(account, {
          get(target, key) {
            if (key !== 'sendTransaction') return Reflect.get(target, key, target)
            return async (transaction: object) => {
              const sent = await target.sendTransaction(transaction)
              if (--left < 0) throw new Error('power cut')
              return sent
            }
          },
        })
      try {
        await deploy({ signer: failing(signer), reserved: failing(reserved), profile, book })
        break
      } catch (error) {
        expect((error as Error).message).to.contain('power cut')
        cuts++
      }
    }
    expect(cuts).to.be.greaterThan(3)
    expect(book.contracts).to.include(PRESET)
    const steps: string[] = []
    await deploy({ signer, reserved, profile, book, onStep: (step) => steps.push(step) })
    expect(steps).to.deep.equal([])
  })

  it('says so when something else was sent from the reserved account, or another account is given', async () => {
    const { ethers } = await network.create()
    const [reserved, signer, other] = (await ethers.getSigners()) as unknown as [Signer, Signer, Signer]
    await assert.rejects(deploy({ signer, reserved: other, profile, book: AddressBook.open(31337) }), /is not the account that the public client knows/)
    for (let i = 0; i < 3; i++) await reserved.sendTransaction({ to: other })
    await assert.rejects(deploy({ signer, reserved, profile, book: AddressBook.open(31337) }), /LedgerManager.implementation can no longer be created/)
  })

  it('takes ordinary addresses elsewhere', async () => {
    const { ethers } = await network.create()
    const [, signer] = (await ethers.getSigners()) as unknown as [Signer, Signer]
    const at = await deploy({ signer, profile, book: AddressBook.open(31337) })
    const ledger = LedgerManager__factory.connect(at.LedgerManager!, signer)
    expect(await ledger.getServiceAddressByName(INFERENCE)).to.equal(at.InferenceServing)
    expect(at.LedgerManager).not.to.equal(PRESET.LedgerManager)
  })

  it('checks what the contracts are initialised with', async () => {
    const { ethers } = await network.create()
    const { governor, book, ledger, serving } = await deployCompute(ethers)
    const proxies = await ethers.getContractFactory('ERC1967Proxy')
    const create = (name: string, data: string): Promise<ContractTransactionResponse> =>
      proxies.deploy(book.get(`${name}.implementation`), data) as unknown as Promise<ContractTransactionResponse>
    await expect(create('LedgerManager', ledger.interface.encodeFunctionData('initialize', [ZeroAddress]))).to.be.revertedWithCustomError(
      ledger,
      'ZeroAddressNotAllowed',
    )
    const [authority, at] = [await governor.getAddress(), await ledger.getAddress()]
    for (const args of [
      [ZeroAddress, at, LOCK_TIME],
      [authority, ZeroAddress, LOCK_TIME],
    ] as const)
      await expect(create('InferenceServing', serving.interface.encodeFunctionData('initialize', [...args])))
        .to.be.revertedWithCustomError(serving, 'InvalidAddress')
        .withArgs(ZeroAddress)
    for (const [peer, arbiter] of [
      [ZeroAddress, authority],
      [authority, ZeroAddress],
    ] as const)
      await expect(new InferenceServing__factory(governor).deploy(ZeroAddress, peer, arbiter)).to.be.revertedWithCustomError(serving, 'InvalidAddress')
    for (const lockTime of [3599, 7 * 86_400 + 1]) {
      const data = serving.interface.encodeFunctionData('initialize', [authority, at, lockTime])
      await expect(create('InferenceServing', data)).to.be.revertedWithCustomError(serving, 'LockTimeOutOfRange')
    }
  })
})

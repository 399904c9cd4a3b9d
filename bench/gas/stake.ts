import { type ContractTransactionResponse, parseEther, type Signer } from 'ethers'
import { network } from 'hardhat'
import { Bonds__factory } from '../../typechain-types/index.ts'
import type { Row } from '../report.ts'

const DELAY = 14 * 86_400

/** Gas of bonds under one arbiter. The reference has no stake that can be taken. */
export async function stakeRows(progress: (what: string) => void): Promise<Row[]> {
  const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
  const [, deployer, party, arbiter, victim] = (await ethers.getSigners()) as unknown as Signer[] as [Signer, Signer, Signer, Signer, Signer]
  const bonds = await new Bonds__factory(deployer).deploy()
  const under = [await arbiter.getAddress()]
  const id = await bonds.bondId(await party.getAddress(), under, DELAY)
  const rows: Row[] = []
  const add = async (key: string, what: string, sent: Promise<ContractTransactionResponse>) =>
    rows.push({ id: `stake.${key}`, what, value: Number((await (await sent).wait())!.gasUsed), unit: 'gas', better: 'less' })

  progress('bonds')
  const [ofParty, ofArbiter] = [bonds.connect(party), bonds.connect(arbiter)]
  const bond = () => ofParty.bond(party, under, DELAY, { value: parseEther('100') })
  await add('open', 'bond, first of a party', bond())
  await add('bond', 'bond more', bond())
  await add('lock', 'lock, first of an arbiter', ofArbiter.lock(id, parseEther('10')))
  await add('unlock', 'unlock all', ofArbiter.unlock(id, parseEther('10')))
  await add('slash', 'slash, first compensation of an account', ofArbiter.slash(id, parseEther('10'), victim))
  await add('compensation', 'withdrawCompensation', bonds.connect(victim).withdrawCompensation(victim))
  await add('unbond', 'unbond', ofParty.unbond(id, parseEther('50')))
  await networkHelpers.time.increase(DELAY)
  await add('withdraw', 'withdraw', ofParty.withdraw(id, party))
  return rows
}

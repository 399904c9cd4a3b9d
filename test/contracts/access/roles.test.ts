import { expect } from 'chai'
import { network } from 'hardhat'
import { ROLES } from '../../../deploy/access.ts'

const { ethers } = await network.create()

describe('Roles', () => {
  it('have the numbers that are granted at deployment', async () => {
    const roles = await ethers.deployContract('Roles')
    const { ADMIN, ...named } = ROLES
    expect(ADMIN).to.equal(0n)
    expect({ GOVERNOR: await roles.GOVERNOR(), GUARDIAN: await roles.GUARDIAN(), UPGRADER: await roles.UPGRADER() }).to.deep.equal(named)
  })
})

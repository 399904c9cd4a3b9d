import { expect } from 'chai'
import { network } from 'hardhat'
import { bytes32, LIFETIME, measurement, pki, proof, withCollateral } from './deploy.ts'
import { quoteParts } from './platform.ts'

const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2027-01-01T00:00:00Z' } })
const deployed = () => withCollateral(ethers)

describe('TeeSignerRegistry: registration', () => {
  it('registers whom a quote proves, whoever sends it, and says what was proven', async () => {
    const { registry, alice, bob } = await networkHelpers.loadFixture(deployed)
    const claim = { signer: alice.address, encryptionKey: bytes32(0xe1), tlsKey: bytes32(0x71) }
    const sent = await registry.connect(bob).register(...(await proof(ethers, registry, claim)))
    const { timestamp } = (await sent.getBlock())!
    const until = timestamp + LIFETIME
    await expect(sent).to.emit(registry, 'SignerRegistered').withArgs(alice.address, measurement, claim.encryptionKey, claim.tlsKey, until, 0)
    expect(await registry.attestedUntil(alice)).to.equal(until)
    const { pck } = quoteParts(pki.quote({ reportData: new Uint8Array(64) }))
    expect(await registry.signerOf(alice)).to.deep.equal([measurement, pck.id, claim.encryptionKey, claim.tlsKey, timestamp, until, 0n, false])
  })
})

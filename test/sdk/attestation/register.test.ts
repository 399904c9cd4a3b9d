import { expect } from 'chai'
import { computeAddress, hexlify, id, ZeroHash } from 'ethers'
import type { CollateralSource } from '../../../sdk/attestation/collateral-source.ts'
import { simulatedSource } from '../../../sdk/attestation/collateral-source.ts'
import { openTee } from '../../../sdk/attestation/open-tee.ts'
import { pcsSource } from '../../../sdk/attestation/pcs.ts'
import { ensureRegistered, type RegistrationOptions } from '../../../sdk/attestation/register.ts'
import type { Tee } from '../../../sdk/attestation/tee.ts'
import { type AttestationChain, startAttestationChain } from '../../support/attestation.ts'
import { startDstackAgent } from './dstack-agent.ts'
import { startPcsServer } from './pcs-server.ts'

const DAY = 86_400
const application = 'compute/provider'

describe('registering a signer', function () {
  this.timeout(60_000)
  let chain: AttestationChain
  let snapshot: unknown
  let source: CollateralSource
  before(async () => {
    chain = await startAttestationChain()
    source = simulatedSource(chain.file, chain.now)
  })
  after(() => chain.stop())
  beforeEach(async () => {
    chain.sent.length = 0
    snapshot = await chain.chain.request('evm_snapshot', [])
  })
  afterEach(() => chain.chain.request('evm_revert', [snapshot]))

  const teeOf = (instance: string, of = application): Tee => openTee({ simulated: chain.file, application: of, instance })
  const signerOf = async (tee: Tee) => computeAddress(hexlify(await tee.key('signer')))
  async function register(tee: Tee, options: Partial<RegistrationOptions> = {}) {
    const signer = options.signer ?? (await signerOf(tee))
    return ensureRegistered({ tee, signer, registry: chain.contracts.TeeSignerRegistry!, provider: chain.provider, send: chain.send, source, ...options })
  }
  const kinds = () => chain.sent.map(({ key }) => key.split(' ')[0])
  const until = async (signer: string) => Number(await chain.registry.attestedUntil(signer))
  const failure = (work: Promise<unknown>) =>
    work.then(
      () => expect.fail('it did not fail'),
      (error: Error & { data?: string }) => error,
    )

  it('given a chain that knows nothing, then collateral, platform and attestation key are added, and the signer counts', async () => {
    const tee = teeOf('0')
    const signer = await signerOf(tee)
    const encryptionKey = id('x25519')
    const tlsKey = id('tls')
    const registration = await register(tee, { encryptionKey, tlsKey })
    expect(registration).to.deep.equal({ until: await until(signer), renewed: true })
    expect(registration.until - (await chain.now()).getTime() / 1000).to.be.within(6.9 * DAY, 7 * DAY)
    const registered = await chain.registry.signerOf(signer)
    expect([registered.encryptionKey, registered.tlsKey, registered.revoked]).to.deep.equal([encryptionKey, tlsKey, false])
    expect(kinds().slice(-3)).to.deep.equal(['platform', 'attestation', 'register'])
  })

  it('given a second signer on a platform that is known, then only it is registered', async () => {
    await register(teeOf('0'))
    chain.sent.length = 0
    await register(teeOf('1'))
    expect(kinds()).to.deep.equal(['register'])
    expect(await until(await signerOf(teeOf('0')))).to.be.greaterThan(0)
  })

  it('given a registration that lasts, then nothing is sent; when it ends soon, then it is renewed', async () => {
    const tee = teeOf('0')
    const first = await register(tee)
    chain.sent.length = 0
    expect(await register(tee)).to.deep.equal({ until: first.until, renewed: false })
    await chain.travel(4.9 * DAY)
    expect((await register(tee)).renewed).to.equal(false)
    expect(kinds()).to.deep.equal([])
    await chain.travel(0.2 * DAY)
    const second = await register(tee)
    expect(second.renewed).to.equal(true)
    expect(second.until).to.be.greaterThan(first.until + 5 * DAY)
    expect(kinds()).to.deep.equal(['register'])
  })

  it('given a registration that has ended, then it is made anew', async () => {
    const tee = teeOf('0')
    await register(tee)
    await chain.travel(8 * DAY)
    expect((await register(tee)).renewed).to.equal(true)
  })

  it('given a signer that replaces another, then both count until the old one ends', async () => {
    const tee = teeOf('0')
    const before = await register(tee)
    const next = computeAddress(hexlify(await tee.key('signer/2')))
    await register(tee, { signer: next })
    expect(await until(await signerOf(tee))).to.equal(before.until)
    expect(await until(next)).to.be.greaterThan(0)
  })

  it('given collateral that ends sooner than the registration should, then it is brought up to date first', async () => {
    const tee = teeOf('0')
    await register(tee)
    await chain.travel(28 * DAY)
    chain.sent.length = 0
    const { until } = await register(tee)
    expect(until - (await chain.now()).getTime() / 1000).to.be.greaterThan(6.9 * DAY)
    expect(kinds().at(-1)).to.equal('register')
    expect(kinds().length).to.be.greaterThan(2)
  })

  it('given collateral that nobody can renew, then a registration that could not be made longer is left alone', async () => {
    const tee = teeOf('0')
    await register(tee)
    await chain.travel(26.5 * DAY)
    const renewed = await register(tee, { source: undefined })
    expect(renewed.renewed).to.equal(true)
    chain.sent.length = 0
    expect(await register(tee, { source: undefined })).to.deep.equal({ until: renewed.until, renewed: false })
    expect(kinds()).to.deep.equal([])
  })

  it('given no source and a platform that is not known, then it says what is missing', async () => {
    const error = await failure(register(teeOf('0'), { source: undefined }))
    expect(error.message).to.include('the chain does not know this platform yet')
    expect(kinds()).to.deep.equal([])
  })

  it('given code that governance has not allowed, then the registry refuses and the reason is told', async () => {
    const error = await failure(register(teeOf('0', 'compute/tuning')))
    expect(chain.registry.interface.parseError(error.data!)!.name).to.equal('MeasurementNotAllowed')
    expect(kinds()).to.not.include('register')
  })

  it('given two keepers that register on an unknown platform at once, then both succeed', async () => {
    const registered = await Promise.all([register(teeOf('0')), register(teeOf('1'), { send: chain.sendAs(3) })])
    expect(registered.map(({ renewed }) => renewed)).to.deep.equal([true, true])
  })

  it("given dstack's agent and a service of collateral over HTTP, then a signer registers in the same way", async () => {
    const agent = await startDstackAgent(teeOf('0'))
    const now = await chain.now()
    const pcs = await startPcsServer({ collateral: () => chain.root.pki.collateral(now) })
    try {
      const tee = openTee({ dstack: agent.socket, application, instance: '0' })
      await register(tee, { source: pcsSource(pcs.url) })
      expect(await until(await signerOf(tee))).to.be.greaterThan(0)
      expect((await chain.registry.signerOf(await signerOf(tee))).encryptionKey).to.equal(ZeroHash)
    } finally {
      await pcs.stop()
      await agent.stop()
    }
  })
})

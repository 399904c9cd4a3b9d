import { X509Certificate } from 'node:crypto'
import { expect } from 'chai'
import { keccak256 } from 'ethers'
import type { Collateral } from '../../../protocol/attestation/collateral.ts'
import { createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { missingCollateral, type PublicationOptions, ROOT_ISSUER } from '../../../sdk/attestation/publish-collateral.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import { type AttestationChain, startAttestationChain } from '../../support/attestation.ts'

const DAY = 86_400
const daysAfter = (date: Date, days: number) => new Date(date.getTime() + days * DAY * 1000)

describe('publishing collateral', function () {
  this.timeout(60_000)
  let chain: AttestationChain
  let now: Date
  let snapshot: unknown
  before(async () => {
    chain = await startAttestationChain()
  })
  after(() => chain.stop())
  beforeEach(async () => {
    snapshot = await chain.chain.request('evm_snapshot', [])
    now = await chain.now()
  })
  afterEach(() => chain.chain.request('evm_revert', [snapshot]))

  const plan = (collateral: Collateral, options: Partial<PublicationOptions> = {}) =>
    missingCollateral(chain.collateral, collateral, { now, renewBefore: 7 * DAY, ...options })
  async function publish(collateral: Collateral, options: Partial<PublicationOptions> = {}) {
    const { transactions } = await plan(collateral, options)
    for (const { key, data } of transactions) await chain.send({ key, to: chain.contracts.CollateralRegistry!, data })
    return transactions.map(({ what }) => what)
  }
  const serialsOf = (text: string) => new Set([BigInt(text)])

  it('given an empty registry, then everything is published in the order in which each part needs the others', async () => {
    const collateral = chain.root.pki.collateral(now)
    expect(await publish(collateral)).to.deep.equal([
      'the revocation list of the root',
      'the issuer "Simulated SGX PCK Platform CA"',
      'the issuer "Simulated SGX TCB Signing"',
      'the revocation list of "Simulated SGX PCK Platform CA"',
      'the TCB info of 0xde0000000000',
      'the identity of the quoting enclave',
    ])
    expect((await chain.collateral.crlOf(ROOT_ISSUER)).hash).to.equal(keccak256(`0x${collateral.root_ca_crl}`))
    expect((await chain.collateral.qeIdentity()).until).to.be.greaterThan(now.getTime() / 1000)
    expect(await plan(collateral)).to.deep.include({ transactions: [], problems: [] })
  })

  it('given what lasts, when the source has newer, then nothing is published before it ends soon', async () => {
    await publish(chain.root.pki.collateral(now))
    const later = daysAfter(now, 21)
    expect((await plan(chain.root.pki.collateral(later), { now: later })).transactions).to.deep.equal([])
    const due = daysAfter(now, 23)
    expect((await plan(chain.root.pki.collateral(due), { now: due })).transactions.map(({ what }) => what)).to.deep.equal([
      'the revocation list of "Simulated SGX PCK Platform CA"',
      'the TCB info of 0xde0000000000',
      'the identity of the quoting enclave',
    ])
  })

  it('given a list that revokes something in use, then it is published at once', async () => {
    await publish(chain.root.pki.collateral(now))
    const next = daysAfter(now, 1)
    await chain.travel(DAY)
    const { serialNumber } = new X509Certificate(Buffer.from(chain.root.pki.certificates.pck))
    const collateral = chain.root.pki.collateral(next, { revoked: ['pck'] })
    expect((await plan(collateral, { now: next })).transactions).to.deep.equal([])
    expect((await plan(collateral, { now: next, serialsInUse: serialsOf(`0x${serialNumber}`) })).transactions.map(({ what }) => what)).to.deep.equal([
      'the revocation list of "Simulated SGX PCK Platform CA"',
    ])
  })

  it('given a higher evaluation number, then it is published at once', async () => {
    await publish(chain.root.pki.collateral(now))
    const next = daysAfter(now, 1)
    const { transactions } = await plan(chain.root.pki.collateral(next, { tcbEvaluationDataNumber: 19 }), { now: next })
    expect(transactions.map(({ what }) => what)).to.deep.equal(['the TCB info of 0xde0000000000', 'the identity of the quoting enclave'])
  })

  it('given a source with a lower evaluation number, then what is due stays, and it says why', async () => {
    await publish(chain.root.pki.collateral(now))
    const due = daysAfter(now, 25)
    const { transactions, problems } = await plan(chain.root.pki.collateral(due, { tcbEvaluationDataNumber: 17 }), { now: due })
    expect(transactions.map(({ what }) => what)).to.not.include('the TCB info of 0xde0000000000')
    expect(problems.join()).to.include('the TCB info of 0xde0000000000 is due, and this one has evaluation number 17, below 18 on chain')
  })

  it('given a source that is behind the chain, then nothing older is published, and it says so', async () => {
    await publish(chain.root.pki.collateral(now))
    const { transactions, problems } = await plan(chain.root.pki.collateral(daysAfter(now, -2)), { now: daysAfter(now, 25) })
    expect(transactions).to.deep.equal([])
    expect(problems.length).to.equal(3)
    expect(problems[0]).to.include('is due, and this one is not newer than that on chain')
  })

  it('given a source whose documents have ended, or are not yet valid, then it says so', async () => {
    expect((await plan(chain.root.pki.collateral(daysAfter(now, -400)))).problems[0]).to.include('is due, and this one ended at')
    expect((await plan(chain.root.pki.collateral(daysAfter(now, 3)))).problems[0]).to.include('is due, and this one is from the future')
  })

  it('given collateral under another root, then it is refused as a whole', async () => {
    const error = await plan(createSimulatedPki().collateral(now)).then(
      () => undefined,
      (reason: PerigeeError) => reason,
    )
    expect(error).to.be.instanceOf(PerigeeError)
    expect(error!.message).to.include('under another root than the registry')
  })

  for (const [what, change] of Object.entries({
    'a chain that is none': { tcb_info_issuer_chain: 'x' },
    'a revocation list that is none': { pck_crl: '3003020101' },
    'TCB info that is not JSON': { tcb_info: '{' },
    'TCB info without dates': { tcb_info: '{"fmspc":"de0000000000","pceId":"0000"}' },
  })) {
    it(`given ${what}, then it is refused as no collateral`, async () => {
      const error = await plan({ ...chain.root.pki.collateral(now), ...change }).then(
        () => undefined,
        (reason: PerigeeError) => reason,
      )
      expect(error?.message).to.include('this is no collateral')
    })
  }

  it('given a list that has to be this one, as to add a platform, then it is put in place although the other lasts', async () => {
    await publish(chain.root.pki.collateral(now))
    const other = chain.root.pki.collateral(now)
    expect((await plan(other)).transactions).to.deep.equal([])
    expect(await publish(other, { currentLists: true })).to.deep.equal(['the revocation list of "Simulated SGX PCK Platform CA"'])
    expect((await plan(other, { currentLists: true })).transactions).to.deep.equal([])
  })
})

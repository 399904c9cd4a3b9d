import { expect } from 'chai'
import { computeAddress, hexlify } from 'ethers'
import { fastify } from 'fastify'
import { signerReportData } from '../../../protocol/attestation/report-data.ts'
import { createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { simulatedSource } from '../../../sdk/attestation/collateral-source.ts'
import { evidenceDocument } from '../../../sdk/attestation/evidence.ts'
import { openTee } from '../../../sdk/attestation/open-tee.ts'
import { ensureRegistered } from '../../../sdk/attestation/register.ts'
import type { Evidence, Tee } from '../../../sdk/attestation/tee.ts'
import { type VerifySignerOptions, verifySigner } from '../../../sdk/attestation/verify-signer.ts'
import { type AttestationChain, startAttestationChain } from '../../support/attestation.ts'

const application = 'compute/provider'
const ZEROS = `0x${'00'.repeat(32)}`

describe('judging a signer', function () {
  this.timeout(60_000)
  let chain: AttestationChain
  let tee: Tee
  let signer: string
  let provider: { url: string; document: unknown; stop(): Promise<void> }
  let snapshot: unknown

  before(async () => {
    chain = await startAttestationChain()
    tee = openTee({ simulated: chain.file, application, instance: '0' })
    signer = computeAddress(hexlify(await tee.key('signer')))
    const source = simulatedSource(chain.file, chain.now)
    await ensureRegistered({ tee, signer, registry: chain.contracts.TeeSignerRegistry!, provider: chain.provider, send: chain.send, source })
    const app = fastify()
    provider = { url: '', document: await registrationEvidence(), stop: () => app.close() }
    app.get<{ Querystring: { layout: string } }>('/v1/quote', async ({ query }) => (query.layout === 'registry' ? provider.document : {}))
    provider.url = await app.listen({ port: 0, host: '127.0.0.1' })
  })
  after(async () => {
    await provider.stop()
    await chain.stop()
  })
  beforeEach(async () => {
    snapshot = await chain.chain.request('evm_snapshot', [])
    provider.document = await registrationEvidence()
  })
  afterEach(() => chain.chain.request('evm_revert', [snapshot]))

  /** What a provider serves: the evidence of its registration, with changes to be noticed. */
  async function registrationEvidence({ edit, ...claim }: { edit?: (evidence: Evidence) => Evidence; signer?: string; blockHash?: string } = {}, from = tee) {
    const { chainId } = await chain.provider.getNetwork()
    const block = await chain.provider.getBlock('latest')
    const registry = chain.contracts.TeeSignerRegistry!
    const data = signerReportData({ chainId, registry, signer, encryptionKey: ZEROS, tlsKey: ZEROS, blockHash: block!.hash!, ...claim })
    const evidence = await from.quote(data)
    return evidenceDocument(edit ? edit(evidence) : evidence, data)
  }
  const judge = (options: Partial<VerifySignerOptions> = {}) =>
    verifySigner({ signer, registry: chain.contracts.TeeSignerRegistry!, provider: chain.provider, allowDevelopment: true, ...options })
  const judgeWithQuote = () => judge({ evidence: { url: provider.url, source: simulatedSource(chain.file, chain.now) } })
  const failed = (verdict: Awaited<ReturnType<typeof judge>>) =>
    [...verdict.checks, ...(verdict.quote?.checks ?? [])].filter(({ ok }) => !ok).map(({ name }) => name)

  it('given a registered signer, then it counts, and what it rests on is told', async () => {
    const verdict = await judge()
    expect(failed(verdict)).to.deep.equal([])
    expect(verdict).to.deep.include({ ok: true, development: true })
    expect(verdict.until).to.be.greaterThan((await chain.now()).getTime() / 1000)
    expect(verdict.measurement).to.equal((await chain.registry.signerOf(signer)).measurement)
  })

  it('given a registry of simulated evidence that was not asked for, then nothing in it counts', async () => {
    const verdict = await judge({ allowDevelopment: false })
    expect(verdict.ok).to.equal(false)
    expect(failed(verdict)).to.deep.equal(['root of trust'])
  })

  it('given a signer that never registered, or was revoked, or ended, then it does not count', async () => {
    expect(failed(await judge({ signer: chain.wallet(5).address }))).to.deep.equal(['signer is registered and attested'])
    await chain.travel(8 * 86_400)
    expect(failed(await judge())).to.deep.equal(['signer is registered and attested'])
    await (await chain.registry.revoke(signer)).wait()
    expect((await judge()).until).to.equal(0)
  })

  it('given its evidence, then the quote, what it binds and what it measures are checked here, too', async () => {
    const verdict = await judgeWithQuote()
    expect(failed(verdict)).to.deep.equal([])
    expect(verdict.ok).to.equal(true)
    expect(verdict.quote!.simulated).to.equal(true)
    expect(verdict.checks.map(({ name }) => name)).to.include.members([
      'the quote is under the root of the registry',
      'the quote binds the signer and its keys',
      'the quote is fresh',
      'RTMR replay',
      'compose file',
      'the quote is of the registered code',
    ])
  })

  const bad: [what: string, document: () => Promise<unknown>, check: string][] = [
    ['a quote of another signer', () => registrationEvidence({ signer: chain.wallet(5).address }), 'the quote binds the signer and its keys'],
    ['a quote over no block of this chain', () => registrationEvidence({ blockHash: `0x${'ab'.repeat(32)}` }), 'the quote is fresh'],
    [
      'a quote of other code',
      () => registrationEvidence({}, openTee({ simulated: chain.file, application: 'other', instance: '0' })),
      'the quote is of the registered code',
    ],
    ['an event log of something else', () => registrationEvidence({ edit: (evidence) => ({ ...evidence, eventLog: '[]' }) }), 'RTMR replay'],
    [
      'another compose file',
      () => registrationEvidence({ edit: (evidence) => ({ ...evidence, tcbInfo: JSON.stringify({ app_compose: '{}' }) }) }),
      'compose file',
    ],
    [
      'a quote that is none',
      () => registrationEvidence({ edit: (evidence) => ({ ...evidence, quote: Uint8Array.of(1, 2, 3) }) }),
      'the provider serves a quote',
    ],
    [
      'a quote under another root',
      async () => {
        const pki = createSimulatedPki()
        const quote = pki.quote({ reportData: new Uint8Array(64) })
        return registrationEvidence({ edit: (evidence) => ({ ...evidence, quote }) })
      },
      'the quote is under the root of the registry',
    ],
    [
      'a quote that was changed',
      () =>
        registrationEvidence({
          edit: (evidence) => {
            const quote = Uint8Array.from(evidence.quote)
            quote[600]! ^= 1
            return { ...evidence, quote }
          },
        }),
      'quote signature',
    ],
  ]
  for (const [what, document, check] of bad) {
    it(`given ${what}, then the signer does not count`, async () => {
      provider.document = await document()
      const verdict = await judgeWithQuote()
      expect(verdict.ok).to.equal(false)
      expect(failed(verdict)).to.include(check)
    })
  }

  it('given a provider that serves no evidence, then it says so', async () => {
    provider.document = { hello: 'world' }
    const error = await judgeWithQuote().then(
      () => expect.fail('it did not fail'),
      (reason: Error) => reason,
    )
    expect(error.message).to.include('what was given as evidence is none')
  })
})

import { expect } from 'chai'
import type { FastifyReply } from 'fastify'
import type { Collateral } from '../../../protocol/attestation/collateral.ts'
import { verifyQuote } from '../../../protocol/attestation/verify.ts'
import { pcsSource } from '../../../sdk/attestation/pcs.ts'
import type { PerigeeError } from '../../../sdk/errors.ts'
import { EVIDENCE } from '../../protocol/attestation/evidence.ts'
import { type PcsServer, startPcsServer } from './pcs-server.ts'

const recorded = EVIDENCE.find(({ name }) => name === '0g broker')!
const request = { fmspc: '90c06f000000', tee: 'tdx', ca: 'platform' } as const

describe("Intel's collateral service", () => {
  let server: PcsServer
  const start = async (lists?: 'der' | 'hex' | 'pem') => {
    server = await startPcsServer({ collateral: () => recorded.collateral, ...(lists ? { lists } : {}) })
    return pcsSource(server.url)
  }
  afterEach(() => server.stop())
  const failure = (work: Promise<unknown>) =>
    work.then(
      () => expect.fail('it did not fail'),
      (error: PerigeeError) => error,
    )

  it('given real answers, then they are the collateral under which a real quote verifies', async () => {
    const collateral = await (await start()).collateral(request)
    expect(withoutCase(collateral)).to.deep.equal(withoutCase(recorded.collateral))
    expect(verifyQuote(recorded.quote, collateral, { now: recorded.now }).ok).to.equal(true)
    expect(server.asked.sort()).to.deep.equal([
      '/sgx/certification/v4/pckcrl?ca=platform&encoding=der',
      '/sgx/certification/v4/rootcacrl',
      '/tdx/certification/v4/qe/identity',
      '/tdx/certification/v4/tcb?fmspc=90c06f000000',
    ])
  })

  for (const lists of ['hex', 'pem'] as const) {
    it(`given a server that sends its revocation lists as ${lists}, then they are the same`, async () => {
      const { pck_crl, root_ca_crl } = await (await start(lists)).collateral(request)
      expect([pck_crl, root_ca_crl]).to.deep.equal([recorded.collateral.pck_crl, recorded.collateral.root_ca_crl])
    })
  }

  it('given collateral of SGX, then it is asked for under its own path', async () => {
    await (await start()).collateral({ ...request, tee: 'sgx', ca: 'processor' })
    expect(server.asked).to.include('/sgx/certification/v4/tcb?fmspc=90c06f000000')
    expect(server.asked).to.include('/sgx/certification/v4/pckcrl?ca=processor&encoding=der')
  })

  const chain = (reply: FastifyReply) => reply.header('TCB-Info-Issuer-Chain', encodeURIComponent(recorded.collateral.tcb_info_issuer_chain))
  const tcb = '/tdx/certification/v4/tcb'
  const { tcb_info, tcb_info_signature } = recorded.collateral
  const bad: [what: string, path: string, answer: (reply: FastifyReply) => unknown, message: string][] = [
    ['an error', tcb, (reply) => reply.code(404).send({ message: 'no such platform' }), 'no such platform'],
    ['an error page', tcb, (reply) => chain(reply).send('<html></html>'), 'it has no tcbInfo with its signature'],
    ['a signature of another length', tcb, (reply) => chain(reply).send(`{"tcbInfo":${tcb_info},"signature":"aa"}`), 'it has no tcbInfo with its signature'],
    ['TCB info that is torn', tcb, (reply) => chain(reply).send(`{"tcbInfo":{"a":},"signature":"${tcb_info_signature}"}`), 'its tcbInfo is not JSON'],
    ['no issuer chain', tcb, (reply) => reply.send(`{"tcbInfo":${tcb_info},"signature":"${tcb_info_signature}"}`), 'it lacks the header tcb-info-issuer-chain'],
    [
      'an issuer chain that is none',
      tcb,
      (reply) => reply.header('TCB-Info-Issuer-Chain', 'nothing').send(`{"tcbInfo":${tcb_info},"signature":"${tcb_info_signature}"}`),
      'is no chain of certificates',
    ],
    ['a revocation list that is none', '/sgx/certification/v4/rootcacrl', (reply) => reply.send('0a0b0c'), 'rootcacrl answered cannot be collateral'],
    ['an endless answer', '/sgx/certification/v4/rootcacrl', (reply) => reply.send(Buffer.alloc(5_000_000)), 'it is longer than'],
  ]
  for (const [what, path, answer, message] of bad) {
    it(`given ${what}, then it says where and why`, async () => {
      const source = await start()
      server.instead.set(path, answer)
      const error = await failure(source.collateral(request))
      expect(error.message).to.include(message)
      expect(error.message).to.include(server.url)
    })
  }

  it('given no server, then it says that none can be reached', async () => {
    const source = await start()
    await server.stop()
    expect((await failure(source.collateral(request))).code).to.equal('NETWORK')
  })
})

/** Hex is written in either case. */
const withoutCase = ({ root_ca_crl, pck_crl, tcb_info_signature, qe_identity_signature, ...rest }: Collateral) => ({
  ...rest,
  hex: [root_ca_crl, pck_crl, tcb_info_signature, qe_identity_signature].map((text) => text.toLowerCase()),
})

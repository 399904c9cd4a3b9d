import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { parseQuote } from '../../../protocol/attestation/quote.ts'
import { measurementOf } from '../../../protocol/attestation/report-data.ts'
import { verifyQuote } from '../../../protocol/attestation/verify.ts'
import { openTee } from '../../../sdk/attestation/open-tee.ts'
import { openSimulatedRoot } from '../../../sdk/attestation/simulated.ts'
import { simulatedMeasurement } from '../../../sdk/attestation/simulated-machine.ts'
import type { Tee } from '../../../sdk/attestation/tee.ts'
import { PerigeeError } from '../../../sdk/errors.ts'
import { type DstackAgent, startDstackAgent } from './dstack-agent.ts'

const now = new Date('2026-01-01T00:00:00Z')
const data = new Uint8Array(64).map((_, i) => i)
const application = 'compute/provider'

describe('trusted execution environments', () => {
  let folder: string
  let file: string
  let tee: Tee
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-tee-'))
    file = join(folder, 'tee', 'pki.json')
    tee = openTee({ simulated: file, application, instance: 'compute/provider/0' })
  })
  after(() => rmSync(folder, { recursive: true }))

  describe('simulated', () => {
    it('given no root yet, when one is opened, then it is made with fresh keys that only its owner may read', () => {
      expect(statSync(file).mode & 0o777).to.equal(0o600)
      const other = join(folder, 'other.json')
      openSimulatedRoot(other)
      expect(JSON.parse(readFileSync(other, 'utf8')).seed).to.not.equal(JSON.parse(readFileSync(file, 'utf8')).seed)
      expect(openSimulatedRoot(other).pki.rootCertificate).to.not.deep.equal(openSimulatedRoot(file).pki.rootCertificate)
    })

    it('given a root, when it is opened again, then it is the same', () => {
      const before = readFileSync(file, 'utf8')
      expect(openSimulatedRoot(file).pki.rootCertificate).to.deep.equal(openSimulatedRoot(file).pki.rootCertificate)
      expect(readFileSync(file, 'utf8')).to.equal(before)
    })

    it('given a file that is something else, then it says so', () => {
      const bad = join(folder, 'bad.json')
      for (const content of ['{}', 'no', '{"warning":"","seed":"00","pki":{}}', JSON.stringify({ warning: '', seed: '00'.repeat(32), pki: {} })]) {
        writeFileSync(bad, content)
        expect(() => openSimulatedRoot(bad), content).to.throw(PerigeeError, 'is not the root of a simulated TEE')
      }
    })

    it('given a path, then its key is the same at every start and another for every path, instance, application and network', async () => {
      const key = async (path: string, options = {}) =>
        Buffer.from(await openTee({ simulated: file, application, instance: 'compute/provider/0', ...options }).key(path)).toString('hex')
      const keys = await Promise.all([
        key('signer'),
        key('tls'),
        key('signer', { instance: 'compute/provider/1' }),
        key('signer', { application: 'compute/tuning' }),
        key('signer', { simulated: join(folder, 'third.json') }),
      ])
      expect(await key('signer')).to.equal(keys[0])
      expect(keys[0]).to.match(/^[0-9a-f]{64}$/)
      expect(new Set(keys).size).to.equal(5)
    })

    it('given 64 bytes, then the quote binds them, names the application and verifies under the simulated root only', async () => {
      const { pki } = openSimulatedRoot(file)
      const { quote } = await tee.quote(data)
      expect(parseQuote(quote).reportData).to.deep.equal(data)
      expect(measurementOf(parseQuote(quote))).to.equal(simulatedMeasurement(application))
      const verdict = verifyQuote(quote, pki.collateral(now), { now, root: pki.rootCertificate })
      expect(verdict.ok, JSON.stringify(verdict.checks.filter(({ ok }) => !ok))).to.equal(true)
      expect(verdict.simulated).to.equal(true)
      expect(verifyQuote(quote, pki.collateral(now), { now }).ok).to.equal(false)
    })
  })

  describe('dstack', () => {
    let agent: DstackAgent
    before(async () => {
      agent = await startDstackAgent(tee)
    })
    after(() => agent.stop())
    afterEach(() => {
      agent.quoteInstead = undefined
    })
    const dstack = () => openTee({ application, instance: 'x', dstack: agent.socket })
    const failure = (work: Promise<unknown>) =>
      work.then(
        () => expect.fail('it did not fail'),
        (error: PerigeeError) => error,
      )

    it('given its agent, then keys and quotes are what it says', async () => {
      expect(dstack().kind).to.equal('dstack')
      expect(await dstack().key('signer')).to.deep.equal(await tee.key('signer'))
      const evidence = await dstack().quote(data)
      const expected = await tee.quote(data)
      expect(parseQuote(evidence.quote).reportData).to.deep.equal(data)
      expect({ ...evidence, quote: 0 }).to.deep.equal({ ...expected, quote: 0 })
      expect(agent.calls.map(({ method }) => method).sort()).to.deep.equal(['/GetKey', '/GetQuote', '/Info'])
    })

    it('given an agent that quotes other data than it is given, then the quote is refused', async () => {
      agent.quoteInstead = new Uint8Array(64)
      expect((await failure(dstack().quote(data))).code).to.equal('VERIFICATION_FAILED')
    })

    for (const [what, next] of Object.entries({
      'an error': { status: 500, body: '{"error":"no key provider"}' },
      garbage: { status: 200, body: '<html>' },
      'a key of another length': { status: 200, body: '{"key":"aabb"}' },
    })) {
      it(`given an agent that answers with ${what}, then it says what it was asked and where`, async () => {
        agent.next = next
        const error = await failure(dstack().key('signer'))
        expect(error.code).to.equal('REMOTE')
        expect(error.message).to.include(`the dstack agent at ${agent.socket} did not answer GetKey`)
      })
    }

    it('given no agent, then it says where it should be', async () => {
      const error = await failure(openTee({ application, instance: 'x', dstack: join(folder, 'none.sock') }).key('signer'))
      expect(error.message).to.include('none.sock did not answer GetKey')
    })

    it('given report data that is not of 64 bytes, then nothing is asked', async () => {
      const { length } = agent.calls
      await dstack()
        .quote(new Uint8Array(63))
        .then(
          () => expect.fail('it did not fail'),
          (error) => expect(error).to.be.instanceOf(RangeError),
        )
      expect(agent.calls.length).to.equal(length)
    })
  })
})

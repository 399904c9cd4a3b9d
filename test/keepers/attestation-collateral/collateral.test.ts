import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'chai'
import { computeAddress, hexlify, keccak256 } from 'ethers'
import { collateralKeeper } from '../../../keepers/attestation/collateral/keeper.ts'
import { type Backend, createRuntime, type Keeper, openBackend, type Runtime } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import type { Collateral } from '../../../protocol/attestation/collateral.ts'
import { createSimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { simulatedSource } from '../../../sdk/attestation/collateral-source.ts'
import { openTee } from '../../../sdk/attestation/open-tee.ts'
import { ROOT_ISSUER } from '../../../sdk/attestation/publish-collateral.ts'
import { ensureRegistered } from '../../../sdk/attestation/register.ts'
import { type PcsServer, startPcsServer } from '../../sdk/attestation/pcs-server.ts'
import { type AttestationChain, startAttestationChain } from '../../support/attestation.ts'
import { newDataDir } from '../../support/data-dir.ts'
import { startRpcProxy } from '../../support/rpc-proxy.ts'
import { eventually, rememberingLog } from '../runtime/quiet.ts'

const DAY = 86_400
const FMSPC = 'de0000000000'
const ENTRY = join(import.meta.dirname, '../../../keepers/attestation/collateral/main.ts')
const LOADER = join(import.meta.dirname, '../../../scripts/ts.mjs')

describe('collateral keeper', function () {
  this.timeout(60_000)
  let chain: AttestationChain
  let snapshot: unknown
  let pcs: PcsServer
  /** What the service serves. */
  let offered: Collateral
  let backend: Backend
  /** Each test's keeper has tables of its own. */
  let tests = 0
  let running: { keeper: Keeper; runtime: Runtime } | undefined
  let remembered: ReturnType<typeof rememberingLog>

  before(async () => {
    chain = await startAttestationChain()
    pcs = await startPcsServer({ collateral: () => offered })
    backend = await openBackend({ log: createLog({ name: 'test', level: 'silent' }) })
  })
  after(async () => {
    await backend.close()
    await pcs.stop()
    await chain.stop()
  })
  beforeEach(async () => {
    snapshot = await chain.chain.request('evm_snapshot', [])
    offered = chain.root.pki.collateral(await chain.now())
    pcs.instead.clear()
    remembered = rememberingLog()
    tests++
  })
  afterEach(async () => {
    await stop()
    await chain.chain.request('evm_revert', [snapshot])
  })

  const config = (changes: object = {}) => ({
    rpcUrl: chain.chain.url,
    collateral: chain.contracts.CollateralRegistry,
    privateKey: chain.wallet(6).privateKey,
    pcsUrl: pcs.url,
    port: 0,
    pollMs: 20,
    checkMs: 50,
    ...changes,
  })
  async function start(changes: object = {}) {
    const runtime = createRuntime({ name: `attestation/collateral/${tests}`, backend, log: remembered.log })
    const keeper = await collateralKeeper.create(collateralKeeper.schema.parse(config(changes)), runtime)
    running = { keeper, runtime }
    await keeper.start()
    return keeper
  }
  async function stop() {
    await running?.keeper.stop()
    await running?.runtime.close()
    running = undefined
  }
  /** A signer on a simulated platform, with all that this brings on chain. */
  async function registerPlatform() {
    const tee = openTee({ simulated: chain.file, application: 'compute/provider', instance: '0' })
    const signer = computeAddress(hexlify(await tee.key('signer')))
    const source = simulatedSource(chain.file, chain.now)
    await ensureRegistered({ tee, signer, registry: chain.contracts.TeeSignerRegistry!, provider: chain.provider, send: chain.send, source })
  }
  const nonce = () => chain.provider.getTransactionCount(chain.wallet(6).address)
  const identityUntil = async () => Number((await chain.collateral.qeIdentity()).until)
  const isPublished = async ({ root_ca_crl, pck_crl }: Collateral) => {
    const [added] = await chain.collateral
      .queryFilter(chain.collateral.filters.CrlAdded(), 0)
      .then((events) => events.filter(({ args }) => args.hash === keccak256(`0x${pck_crl}`)))
    return added !== undefined && (await chain.collateral.crlOf(ROOT_ISSUER)).hash === keccak256(`0x${root_ca_crl}`) && (await identityUntil()) > 0
  }
  async function expirySeconds(keeper: Keeper): Promise<Record<string, number>> {
    const text = await (await fetch(`${keeper.url}/metrics`)).text()
    return Object.fromEntries(
      [...text.matchAll(/^collateral_expires_seconds\{document="([^"]+)"[^}]*\} (\S+)$/gm)].map(([, document, value]) => [document!, Number(value)]),
    )
  }
  const said = (level: string, message: string) => remembered.lines.some((line) => line.level === level && line.message.includes(message))

  it('given a registered platform, when its collateral nears its end, then it is replaced in time, and not before', async () => {
    await registerPlatform()
    const keeper = await start({ simulatedTee: chain.file })
    await eventually('it is ready', async () => (await keeper.ready()) === undefined)
    await eventually('it has looked', async () => (await expirySeconds(keeper))['QE identity'] !== undefined)
    expect(await nonce()).to.equal(0)
    const seconds = await expirySeconds(keeper)
    expect(Object.keys(seconds).sort()).to.deep.equal([
      `CRL of ${(await chain.collateral.queryFilter(chain.collateral.filters.PckAdded(), 0))[0]!.args.issuer.toLowerCase()}`,
      'QE identity',
      `TCB info of ${FMSPC}`,
      'root CRL',
    ])
    expect(seconds['QE identity']).to.be.within(28 * DAY, 29 * DAY)

    const before = await identityUntil()
    await chain.travel(20 * DAY)
    await eventually('everything that was due is replaced', async () => (await nonce()) === 3)
    expect(await identityUntil()).to.be.within(before + 19 * DAY, before + 21 * DAY)
    await eventually('the metric follows', async () => (await expirySeconds(keeper))['QE identity']! > 28 * DAY)
    expect(await keeper.ready()).to.equal(undefined)
  })

  it('given kinds of platforms to look after before any is registered, then their collateral is brought on chain', async () => {
    await start({ fmspcs: [FMSPC] })
    await eventually('it is published', () => isPublished(offered))
    expect(pcs.asked).to.include(`/tdx/certification/v4/tcb?fmspc=${FMSPC}`)
  })

  it('given nothing to look after, then nothing is asked and it is ready', async () => {
    pcs.asked.length = 0
    const keeper = await start()
    await eventually('it is ready', async () => (await keeper.ready()) === undefined)
    expect(pcs.asked).to.deep.equal([])
  })

  it('given a revocation of a platform in use, then it is published at once', async () => {
    await registerPlatform()
    await chain.travel(DAY)
    offered = chain.root.pki.collateral(await chain.now(), { revoked: ['pck'] })
    await start()
    await eventually('the platform is revoked', async () => (await chain.collateral.queryFilter(chain.collateral.filters.PckRevoked(), 0)).length === 1)
    expect(await nonce()).to.equal(1)
    // It is not in use any more: what revokes it again is nothing new.
    await chain.travel(DAY)
    offered = chain.root.pki.collateral(await chain.now(), { revoked: ['pck'] })
    await stop()
    const keeper = await start()
    await eventually('it is ready', async () => (await keeper.ready()) === undefined)
    expect(await nonce()).to.equal(1)
  })

  it('given a dead source, when collateral nears its end, then it alerts, more loudly later, and recovers with the source', async () => {
    await registerPlatform()
    await pcs.stop()
    const keeper = await start()
    await eventually('the chain is looked at although the source is dead', async () => (await expirySeconds(keeper))['QE identity'] !== undefined)
    expect(await keeper.ready()).to.equal(undefined)
    await chain.travel(23 * DAY)
    await eventually('it is not ready, and says why', async () => /QE identity ends at .*cannot be reached/.test((await keeper.ready()) ?? ''))
    expect((await (await fetch(`${keeper.url}/readyz`)).json()) as object).to.deep.equal({ status: 'not ready', reason: await keeper.ready() })
    expect(said('warn', 'collateral ends at')).to.equal(true)
    expect(said('error', 'collateral ends at')).to.equal(false)
    await chain.travel(5 * DAY)
    await eventually('it is an error now', () => said('error', 'collateral ends at'))
    await chain.travel(3 * DAY)
    await eventually('it has ended', async () => (await expirySeconds(keeper))['QE identity']! < 0)

    const port = Number(new URL(pcs.url).port)
    offered = chain.root.pki.collateral(await chain.now())
    pcs = await startPcsServer({ collateral: () => offered, port })
    await eventually('it is ready again', async () => (await keeper.ready()) === undefined)
    expect(await identityUntil()).to.be.greaterThan((await chain.now()).getTime() / 1000 + 25 * DAY)
  })

  const bad: [what: string, make: (now: Date) => Collateral, reason: RegExp][] = [
    ['older collateral than the chain has', (now) => chain.root.pki.collateral(new Date(now.getTime() - 30 * DAY * 1000)), /not newer than that on chain/],
    ['collateral of another root', (now) => createSimulatedPki().collateral(now), /under another root/],
    [
      'a document that its issuer did not sign',
      (now) => {
        const good = chain.root.pki.collateral(now)
        return { ...good, tcb_info: good.tcb_info.replace('"version":3', '"version":3 ') }
      },
      /InvalidSignature/,
    ],
  ]
  for (const [what, make, reason] of bad) {
    it(`given a source that serves ${what}, then the chain keeps what it has, nothing is paid for it, and it alerts`, async () => {
      await registerPlatform()
      await chain.travel(23 * DAY)
      const before = (await chain.collateral.tcbInfoOf(`0x${FMSPC}`, '0x0000')).until
      offered = make(await chain.now())
      const keeper = await start()
      await eventually('it is not ready, and says why', async () => reason.test((await keeper.ready()) ?? ''))
      expect((await chain.collateral.tcbInfoOf(`0x${FMSPC}`, '0x0000')).until).to.equal(before)
      const text = await (await fetch(`${keeper.url}/metrics`)).text()
      expect(text).to.not.match(/transactions_total\{[^}]*outcome="reverted"/)
    })
  }

  it('given a dead endpoint, then it says so, and goes on when it is back', async () => {
    await registerPlatform()
    const proxy = await startRpcProxy(chain.chain.url)
    const keeper = await start({ rpcUrl: proxy.url, simulatedTee: chain.file })
    await eventually('it is ready', async () => (await keeper.ready()) === undefined)
    await proxy.down()
    await eventually('it says so', async () => (await keeper.ready()) !== undefined)
    await chain.travel(20 * DAY)
    await proxy.up()
    await eventually('what is due is published', async () => (await nonce()) === 3, 20_000)
    await eventually('it is ready again', async () => (await keeper.ready()) === undefined)
    await stop()
    await proxy.down()
  })

  it('given a reorganisation that undoes a publication, then it is published again', async () => {
    const before = await chain.chain.request('evm_snapshot', [])
    const keeper = await start({ fmspcs: [FMSPC], patienceMs: 500 })
    await eventually('it is published', () => isPublished(offered))
    // The last of it is not confirmed yet: it can only be mined again once those before it are.
    await chain.chain.request('evm_revert', [before])
    expect(await isPublished(offered)).to.equal(false)
    await chain.chain.request('hardhat_mine', ['0x20'])
    await eventually('it is published again', () => isPublished(offered), 30_000)
    await eventually('it is ready', async () => (await keeper.ready()) === undefined)
  })

  it('given a reorganisation that undoes a platform, then it is not looked after any more', async () => {
    const before = await chain.chain.request('evm_snapshot', [])
    await registerPlatform()
    const keeper = await start()
    await eventually('it is looked after', async () => (await expirySeconds(keeper))['QE identity'] !== undefined)
    await chain.chain.request('evm_revert', [before])
    await chain.chain.request('hardhat_mine', ['0x20'])
    await eventually('it is not any more', async () => (await expirySeconds(keeper))['QE identity'] === undefined)
  })

  it('given kill -9 in the middle of publishing, when it starts again, then everything is published, and nothing twice', async function () {
    // Two processes with a database each to open, and a job that is taken up ten seconds after its process died.
    this.timeout(240_000)
    const folder = await newDataDir()
    const { privateKey, ...rest } = config({ fmspcs: FMSPC, dataDir: folder.path, logLevel: 'warn' }) as Record<string, unknown>
    const args = Object.entries(rest).flatMap(([key, value]) => [`--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, String(value)])
    const run = () => {
      const env = { PATH: process.env.PATH, PRIVATE_KEY: privateKey as string }
      const child = spawn(process.execPath, ['--import', LOADER, ENTRY, ...args], { env, stdio: 'ignore' })
      const exit = new Promise((resolve) => child.once('exit', resolve))
      const kill = async (signal: NodeJS.Signals) => {
        child.kill(signal)
        await exit
      }
      return { kill }
    }
    const victim = run()
    try {
      await eventually('the first transaction is there', async () => (await nonce()) > 0, 100_000)
    } finally {
      await victim.kill('SIGKILL')
    }
    const heir = run()
    try {
      await eventually('everything is published', () => isPublished(offered), 100_000)
    } finally {
      await heir.kill('SIGTERM')
    }
    expect(await nonce()).to.equal(6)
    folder.remove()
  })

  it('given a warning that would come before a renewal, then it refuses to start', async () => {
    const error = await start({ warnBeforeSeconds: 20 * DAY }).then(
      () => undefined,
      (reason: Error) => reason,
    )
    expect(error?.message).to.include('warnBeforeSeconds is 1728000')
  })
})

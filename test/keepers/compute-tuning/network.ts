import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEther, Wallet } from 'ethers'
import { deploy, openBook } from '../../../deploy/deploy.ts'
import { connect } from '../../../deploy/networks.ts'
import { PROFILES } from '../../../deploy/profiles.ts'
import { startChain } from '../../../devnet/chain.ts'
import { tuning } from '../../../keepers/compute/tuning/keeper.ts'
import { type Backend, createRuntime, type Keeper, openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { openSimulatedRoot } from '../../../sdk/attestation/simulated.ts'
import { simulatedMeasurement } from '../../../sdk/attestation/simulated-machine.ts'
import { IFineTuningServing__factory, ILedgerManager__factory } from '../../../typechain-types/index.ts'

const log = (name: string) => createLog({ name, level: process.env.TEST_LOG ?? 'silent', pretty: false })

export interface RunningTuning {
  url: string
  folder: string
  keeper: Keeper
  stop(): Promise<void>
}

/** A chain with the marketplace, and tuning keepers as a test starts them. */
export async function startTuningNetwork() {
  const folder = mkdtempSync(join(tmpdir(), 'perigee-tuning-'))
  const chain = await startChain()
  const provider = connect(chain.url)
  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const simulatedTee = join(folder, 'pki.json')
  const tee = { rootCertificate: openSimulatedRoot(simulatedTee).pki.rootCertificate, measurements: [simulatedMeasurement('compute/tuning')] }
  const { access, attestation, compute } = PROFILES.local!
  const profile = { access, stake: true as const, attestation: attestation!, compute: compute! }
  const contracts = await deploy({ signer: wallet(1), reserved: wallet(0), profile, book: await openBook(wallet(1), join(folder, 'deployments')), tee })
  const ledger = ILedgerManager__factory.connect(contracts.LedgerManager!, provider)
  const serving = IFineTuningServing__factory.connect(contracts.FineTuningServing!, provider)
  const { fullName } = await ledger.getServiceInfo(serving.target)
  const backend = await openBackend({ log: log('database') })
  const running = new Set<RunningTuning>()
  let keepers = 0

  return {
    chain,
    provider,
    wallet,
    serving,
    folder,
    address: wallet(2).address,

    config: (changes: object = {}) => ({
      rpcUrl: chain.url,
      serving: serving.target as string,
      registry: contracts.TeeSignerRegistry!,
      simulatedTee,
      privateKey: chain.accounts[2]!.privateKey,
      autoRegister: true,
      pricePerToken: 1000n,
      pollMs: 20,
      checkMs: 100,
      port: 0,
      ...changes,
    }),

    /** Starts a keeper; with a folder given, on what an earlier one left there. */
    async start(changes: object = {}, at = join(folder, `keeper-${keepers++}`), shared: Backend = backend): Promise<RunningTuning> {
      const runtime = createRuntime({ name: `compute/tuning/${at.split('-').at(-1)}`, backend: shared, log: log('tuning') })
      let keeper: Keeper | undefined
      const stop = async () => {
        if (!running.delete(started)) return
        await keeper!.stop()
        await runtime.close()
      }
      try {
        keeper = await tuning.create(tuning.schema.parse({ ...this.config(changes), dataDir: at }), runtime)
        await keeper.start()
      } catch (error) {
        await runtime.close()
        throw error
      }
      const started: RunningTuning = { url: keeper.url!, folder: at, keeper, stop }
      running.add(started)
      return started
    },

    /** Money of a user for this provider, through the ledger. */
    async fund(user: Wallet, amount = parseEther('2')): Promise<void> {
      const as = ledger.connect(user)
      await (await as.depositFund({ value: amount + parseEther('3') })).wait()
      await (await as.transferFund(this.address, fullName, amount)).wait()
    },

    /** She asks for everything back. */
    async retrieve(user: Wallet): Promise<void> {
      await (await ledger.connect(user).retrieveFund([this.address], fullName)).wait()
    },

    async travel(seconds: number): Promise<void> {
      await chain.request('evm_increaseTime', [seconds])
      await chain.request('hardhat_mine', ['0x1'])
    },

    async stopKeepers() {
      for (const each of [...running]) await each.stop()
    },

    async stop() {
      await this.stopKeepers()
      await backend.close()
      provider.destroy()
      await chain.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export type TuningNetwork = Awaited<ReturnType<typeof startTuningNetwork>>

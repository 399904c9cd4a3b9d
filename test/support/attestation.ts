import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JsonRpcProvider, Wallet } from 'ethers'
import { deploy, openBook } from '../../deploy/deploy.ts'
import { connect } from '../../deploy/networks.ts'
import type { Profile } from '../../deploy/profiles.ts'
import { type Chain, startChain } from '../../devnet/chain.ts'
import type { Send } from '../../sdk/attestation/register.ts'
import { openSimulatedRoot, type SimulatedRoot } from '../../sdk/attestation/simulated.ts'
import { simulatedMeasurement } from '../../sdk/attestation/simulated-machine.ts'
import { type CollateralRegistry, CollateralRegistry__factory, type TeeSignerRegistry, TeeSignerRegistry__factory } from '../../typechain-types/index.ts'

/** A chain with the attestation module, whose root is that of a simulated TEE of its own. */
export interface AttestationChain {
  chain: Chain
  provider: JsonRpcProvider
  /** File of the simulated root. */
  file: string
  root: SimulatedRoot
  /** With account 1, which may govern. */
  registry: TeeSignerRegistry
  collateral: CollateralRegistry
  contracts: Readonly<Record<string, string>>
  /** Development account `i`; 1 governs. */
  wallet(i: number): Wallet
  /** What was sent, in order. */
  sent: { key: string; to: string }[]
  /** Sends as account 2 and waits. */
  send: Send
  /** Sends as another account. */
  sendAs(i: number): Send
  now(): Promise<Date>
  travel(seconds: number): Promise<void>
  stop(): Promise<void>
}

export interface AttestationChainOptions {
  /** What may register from the start. */
  applications?: string[]
  profile?: Profile
}

const WEEK = 7n * 86_400n

export async function startAttestationChain({ applications = ['compute/provider'], profile }: AttestationChainOptions = {}): Promise<AttestationChain> {
  const folder = mkdtempSync(join(tmpdir(), 'perigee-attestation-'))
  const file = join(folder, 'tee', 'pki.json')
  const root = openSimulatedRoot(file)
  const chain = await startChain()
  const provider = connect(chain.url)
  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const contracts = await deploy({
    signer: wallet(1),
    profile: profile ?? { access: {}, attestation: { lifetime: WEEK, minimumEvaluation: 0n } },
    book: await openBook(wallet(1), join(folder, 'deployments')),
    tee: { rootCertificate: root.pki.rootCertificate, measurements: applications.map(simulatedMeasurement) },
  })
  const sent: AttestationChain['sent'] = []
  const sendAs =
    (i: number): Send =>
    async ({ key, to, data }) => {
      const response = await wallet(i).sendTransaction({ to, data })
      sent.push({ key, to })
      return response.wait()
    }
  return {
    chain,
    provider,
    file,
    root,
    contracts,
    registry: TeeSignerRegistry__factory.connect(contracts.TeeSignerRegistry!, wallet(1)),
    collateral: CollateralRegistry__factory.connect(contracts.CollateralRegistry!, wallet(1)),
    wallet,
    sent,
    send: sendAs(2),
    sendAs,
    now: async () => new Date((await provider.getBlock('latest'))!.timestamp * 1000),
    async travel(seconds) {
      await chain.request('evm_increaseTime', [Math.round(seconds)])
      await chain.request('hardhat_mine', ['0x1'])
    },
    async stop() {
      provider.destroy()
      await chain.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

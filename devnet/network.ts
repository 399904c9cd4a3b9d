import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { lockFolder } from '../keepers/runtime/files.ts'
import { build } from './build.ts'
import type { Account } from './chain.ts'
import type { ChainAnswer, ChainRequest } from './chain-process.ts'
import { Child } from './child.ts'
import { type DevnetFile, publish, withdraw } from './devnet-file.ts'
import type { KeepersAnswer, KeepersRequest } from './keeper-process.ts'
import { type Layout, layout, portsFrom } from './layout.ts'
import type { Options } from './options.ts'
import { requireFree } from './ports.ts'
import { step } from './progress.ts'

/** The account that deploys, and the one that creates the compute contracts and nothing else. */
const DEPLOYER = 1
const RESERVED = 0

/** A network of this machine: a chain process and a process with all keepers, under one folder. */
export class LocalNetwork {
  readonly #options: Options
  readonly #layout: Layout
  readonly #onCrash: (report: string) => void
  readonly #building = new AbortController()
  #stops: (() => unknown)[] = []

  constructor(options: Options, onCrash: (report: string) => void) {
    this.#options = options
    this.#layout = layout(options.dir)
    this.#onCrash = onCrash
  }

  /** Starts everything; when it returns, everything answers and devnet.json is there. */
  async start(): Promise<DevnetFile> {
    const { reset, portBase, blockTime, only } = this.#options
    const at = this.#layout
    this.#stops.push(lock(at.folder))
    withdraw(at.devnet)
    if (reset) for (const path of [at.journal, at.deployments, at.tee, at.keepers, at.logs]) rmSync(path, { recursive: true, force: true })
    // Addresses mean nothing on another chain.
    if (!existsSync(at.journal)) rmSync(at.deployments, { recursive: true, force: true })
    const ports = portsFrom(portBase)
    await requireFree(ports)

    const chainProcess = this.#child<ChainRequest, ChainAnswer>('chain', 'chain-process.ts')
    const keepers = this.#child<KeepersRequest, KeepersAnswer>('keeper', 'keeper-process.ts')
    const [chain] = await Promise.all([
      step('chain', async () => answered(await chainProcess.ask({ journal: at.journal, port: ports.chain[0]!, blockTime }))),
      step('database', async () => answered(await keepers.ask({ folder: at.keepers }))),
      step('codec and contracts built', () => build(this.#building.signal)),
    ])
    const contracts = await step('contracts deployed', () => deployTo(chain, at))
    const description = { rpcUrl: chain.url, accounts: chain.accounts, contracts, ports, folder: at.keepers, simulatedTee: at.tee, modules: only }
    const { services } = await step('keepers ready', async () => answered(await keepers.ask({ description })))

    const file: DevnetFile = { chain: { rpcUrl: chain.url, chainId: chain.chainId, accounts: chain.accounts }, contracts, services }
    publish(at.devnet, file)
    this.#stops.push(() => withdraw(at.devnet))
    return file
  }

  /** Stops what runs, the newest first. Safe at any time, also while starting. */
  async stop(): Promise<void> {
    this.#building.abort()
    const stops = this.#stops.reverse()
    this.#stops = []
    for (const stop of stops) await stop()
  }

  #child<In, Out>(name: string, module: string): Child<In, Out> {
    const child = new Child<In, Out>({
      name,
      module: new URL(module, import.meta.url),
      log: join(this.#layout.logs, `${name}.log`),
      onCrash: this.#onCrash,
    })
    this.#stops.push(() => child.stop())
    return child
  }
}

function lock(folder: string): () => void {
  mkdirSync(folder, { recursive: true })
  try {
    return lockFolder(folder)
  } catch (error) {
    throw new Error(`${(error as Error).message}\nOne network runs per folder; a second one needs its own --dir and --port-base`, { cause: error })
  }
}

function answered<T extends object>(answer: T | { failure: string }): T {
  if ('failure' in answer) throw new Error(answer.failure)
  return answer
}

/** Imported late: the contracts' types are made by the build. */
async function deployTo({ url, accounts }: { url: string; accounts: Account[] }, at: Layout): Promise<Readonly<Record<string, string>>> {
  const { deploy, openBook } = await import('../deploy/deploy.ts')
  const { connect } = await import('../deploy/networks.ts')
  const { PROFILES } = await import('../deploy/profiles.ts')
  const { trustedTee } = await import('./trusted-tee.ts')
  const { Wallet } = await import('ethers')
  const provider = connect(url)
  try {
    const wallet = (account: number) => new Wallet(accounts[account]!.privateKey, provider)
    const signer = wallet(DEPLOYER)
    return await deploy({ signer, reserved: wallet(RESERVED), profile: PROFILES.local!, book: await openBook(signer, at.deployments), tee: trustedTee(at.tee) })
  } finally {
    provider.destroy()
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Wallet } from 'ethers'
import { deploy, openBook } from '../../deploy/deploy.ts'
import { connect } from '../../deploy/networks.ts'
import { PROFILES } from '../../deploy/profiles.ts'
import { startChain } from '../../devnet/chain.ts'
import { freePortsFor } from '../../devnet/ports.ts'
import type { Service } from '../../devnet/service.ts'
import { services } from '../../devnet/services.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const READY_WITHIN_MS = 300_000

export interface Processes {
  /** gRPC, host:port. */
  disperser: string
  stop(): Promise<void>
}

/** The chain in this process, and four signers and a disperser in one each, as operators run them; configured as on the local network. */
export async function startProcesses(folder: string): Promise<Processes> {
  const chain = await startChain({ blockTime: 1 })
  const provider = connect(chain.url)
  const children: ChildProcess[] = []
  const stop = async () => {
    for (const child of children) child.kill()
    await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')))
    provider.destroy()
    await chain.stop()
  }
  try {
    const signer = new Wallet(chain.accounts[1]!.privateKey, provider)
    const { access, da } = PROFILES.local!
    const contracts = await deploy({ signer, profile: { access, stake: true, da: da! }, book: await openBook(signer, join(folder, 'deployments')) })
    const ports = await freePortsFor({})
    const description = { rpcUrl: chain.url, accounts: chain.accounts, contracts, ports, folder, simulatedTee: '', modules: ['da' as const] }
    const wanted = services(description).filter(({ definition: { name } }) => name === 'da/signer' || name === 'da/disperser')
    for (const service of wanted) children.push(start(service))
    await ready(`http://127.0.0.1:${ports.daDisperserHttp[0]}/readyz`)
    return { disperser: `127.0.0.1:${ports.daDisperser[0]}`, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function start({ definition, config }: Service): ChildProcess {
  const { privateKey, ...rest } = config as { privateKey: string }
  const flags = Object.entries(rest).flatMap(([key, value]) => [`--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, String(value)])
  return spawn(process.execPath, ['--import', './scripts/ts.mjs', `keepers/${definition.name}/main.ts`, ...flags, '--log-level', 'error'], {
    cwd: ROOT,
    env: { ...process.env, PRIVATE_KEY: privateKey },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

async function ready(url: string): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS
  while (!(await fetch(url).catch(() => undefined))?.ok) {
    if (performance.now() > deadline) throw new Error(`${url} is not ready after ${READY_WITHIN_MS / 1000} s`)
    await sleep(200)
  }
}

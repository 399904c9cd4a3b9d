import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials, loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { parseEther, toQuantity, Wallet } from 'ethers'
import { deploy, openBook } from '../../deploy/deploy.ts'
import { connect } from '../../deploy/networks.ts'
import { PROFILES } from '../../deploy/profiles.ts'
import { type Chain, startChain } from '../../devnet/chain.ts'
import { disperser } from '../../keepers/da/disperser/keeper.ts'
import { retriever } from '../../keepers/da/retriever/keeper.ts'
import { daSigner } from '../../keepers/da/signer/keeper.ts'
import { createRuntime, type KeeperDefinition, openBackend } from '../../keepers/runtime/keeper.ts'
import { createLog } from '../../keepers/runtime/log.ts'
import { blsKeyFromBytes, provePossession } from '../../protocol/da/bls.ts'
import { connectDa, type DaContracts } from '../../sdk/da/contracts.ts'
import { IBonds__factory } from '../../typechain-types/index.ts'

/** wei */
export const LEAST_STAKE = parseEther('100')
/** Development accounts of the signers that run, and of the disperser. */
const SIGNERS = [6, 7, 8, 9, 10]
const DISPERSER = 11
/** Nobody listens there: connections are refused at once. */
const NOWHERE = '127.0.0.1:1'
const GAS_PRICE = 10n ** 10n

export type CommitteeNetwork = Awaited<ReturnType<typeof startCommitteeNetwork>>

export interface CommitteeOptions {
  /** Signers that are registered with the least stake, and do not run. */
  absent: number
  /** Stake of each of the five that run, in times the least. */
  weight: number
}

/**
 * A chain on which many signers are registered, five of which run: real keepers, with a disperser and a retriever, in this process. The first epoch takes
 * all of them.
 */
export async function startCommitteeNetwork({ absent, weight }: CommitteeOptions) {
  const folder = mkdtempSync(join(tmpdir(), 'perigee-committee-'))
  const log = createLog({ name: 'test', level: process.env.TEST_LOG ?? 'silent' })
  // Seats are drawn in a later block than stakes are read in: one comes even when nothing is sent.
  const chain = await startChain({ blockTime: 1 })
  const provider = connect(chain.url)
  const wallet = (i: number) => new Wallet(chain.accounts[i]!.privateKey, provider)
  const minSigners = BigInt(absent + SIGNERS.length)
  const profile = { access: {}, stake: true as const, da: { ...PROFILES.local!.da!, minSigners, minStake: LEAST_STAKE } }
  const at = await deploy({ signer: wallet(1), profile, book: await openBook(wallet(1), join(folder, 'deployments')) })
  const contracts = connectDa(at, wallet(12))
  const silent = await listenSilently()
  const gone = [NOWHERE, silent.url]
  await registerMany({ chain, contracts, bonds: at.Bonds!, challenges: at.AvailabilityChallenges!, count: absent, urlOf: (i) => gone[i % gone.length]! })

  const backend = await openBackend({ log })
  const stops: (() => Promise<void>)[] = []
  async function run(name: string, definition: KeeperDefinition<any>, config: object): Promise<string> {
    const runtime = createRuntime({ name, backend, log: log.child({ keeper: name }) })
    const common = {
      rpcUrl: chain.url,
      pollMs: 100,
      dataDir: join(folder, name.replaceAll('/', '-')),
      dataAvailability: contracts.address,
      port: 0,
      httpPort: 0,
    }
    const keeper = await definition.create(definition.schema.parse({ ...common, ...config }), runtime)
    await keeper.start()
    stops.push(async () => {
      await keeper.stop()
      await runtime.close()
    })
    return keeper.url!
  }
  const ours = { challenges: at.AvailabilityChallenges!, payments: at.BlobPayments! }
  for (const [i, account] of SIGNERS.entries()) {
    await setBalance(chain, chain.accounts[account]!.address, LEAST_STAKE * BigInt(weight) + parseEther('1000'))
    const { privateKey } = chain.accounts[account]!
    await run(`da/signer/${i}`, daSigner, { ...ours, privateKey, bonds: at.Bonds!, stake: LEAST_STAKE * BigInt(weight), codecThreads: 0, checkMs: 500 })
  }
  const { privateKey } = chain.accounts[DISPERSER]!
  const disperserUrl = await run('da/disperser', disperser, {
    ...ours,
    privateKey,
    sponsor: true,
    finalityBlocks: 1,
    codecThreads: 1,
    batchMs: 50,
    upkeepMs: 500,
    redeemMs: 500,
  })
  const retrieverUrl = await run('da/retriever', retriever, { codecThreads: 0 })
  const definition = loadSync(join(import.meta.dirname, '../acceptance/disperser.proto'), { keepCase: true, longs: String, enums: String, defaults: true })
  const client = new (loadPackageDefinition(definition) as any).disperser.Disperser(disperserUrl, credentials.createInsecure())
  return {
    contracts,
    /** A call of the public disperser service, by a client made from its definition alone. */
    disperser: (method: string, request: object) =>
      new Promise<any>((resolve, reject) => client[method](request, (error: Error | null, reply: unknown) => (error ? reject(error) : resolve(reply)))),
    retrieverUrl,
    /** Accounts of the signers that run. */
    running: SIGNERS.map((i) => chain.accounts[i]!.address),
    /** Gas of the transactions that took a step towards an epoch, since the last signer registered. */
    async gasOfSteps(): Promise<number[]> {
      const [advance, register] = [contracts.epochs.interface.getFunction('advance'), contracts.signers.interface.getFunction('register')]
      const gas: number[] = []
      for (let number = await provider.getBlockNumber(); ; number--) {
        const block = await provider.getBlock(number, true)
        for (const { to, data, hash } of block!.prefetchedTransactions) {
          if (to !== contracts.address) continue
          if (data.startsWith(register.selector)) return gas
          const receipt = data.startsWith(advance.selector) ? await provider.getTransactionReceipt(hash) : undefined
          if (receipt?.status === 1) gas.push(Number(receipt.gasUsed))
        }
      }
    },
    async travel(seconds: number) {
      await chain.request('evm_increaseTime', [seconds])
      await chain.request('hardhat_mine', ['0x1'])
    },
    async stop() {
      for (const stop of stops.reverse()) await stop()
      await backend.close()
      provider.destroy()
      client.close()
      silent.close()
      await chain.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Takes connections and says nothing, as a machine behind a firewall does. */
async function listenSilently() {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => sockets.add(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

const setBalance = (chain: Chain, account: string, wei: bigint) => chain.request('hardhat_setBalance', [account, toQuantity(wei)])

interface Registering {
  chain: Chain
  contracts: DaContracts
  bonds: string
  challenges: string
  count: number
  urlOf: (i: number) => string
}

/** Bonds and registers so many accounts, with keys from small secrets, which are quick. Nothing is asked of the chain on the way but to take transactions. */
async function registerMany({ chain, contracts, bonds, challenges, count, urlOf }: Registering): Promise<void> {
  const domain = { chainId: chain.chainId, contract: contracts.address }
  const delay = await contracts.signers.bondDelay()
  const bonding = IBonds__factory.createInterface()
  const send = async (wallet: Wallet, nonce: number, to: string, data: string, value = 0n) => {
    const fees = { type: 0, gasPrice: GAS_PRICE, gasLimit: 600_000n }
    await chain.request('eth_sendRawTransaction', [await wallet.signTransaction({ chainId: chain.chainId, to, data, value, nonce, ...fees })])
  }
  for (let i = 1; i <= count; i++) {
    const secret = Buffer.alloc(32)
    secret.writeUInt32BE(i, 28)
    const wallet = new Wallet(`0x5a${secret.subarray(1).toString('hex')}`)
    await setBalance(chain, wallet.address, 2n * LEAST_STAKE)
    await send(wallet, 0, bonds, bonding.encodeFunctionData('bond', [wallet.address, [challenges], delay]), LEAST_STAKE)
    const { key, keyG2, proof, counter, y } = provePossession(blsKeyFromBytes(secret), domain, wallet.address)
    await send(wallet, 1, contracts.address, contracts.signers.interface.encodeFunctionData('register', [key, keyG2, proof, counter, y, urlOf(i)]))
  }
}

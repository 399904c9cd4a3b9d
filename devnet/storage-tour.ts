import { randomFillSync } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatEther, type JsonRpcProvider, Wallet } from 'ethers'
import { connectFlow, contractNamed, download, IndexerClient, upload } from '../sdk/index.ts'
import type { DevnetFile } from './devnet-file.ts'
import { say, step } from './progress.ts'
import { until } from './tour-steps.ts'

const FILE_BYTES = 3 * 1024 * 1024
/** The development account that uploads. */
const UPLOADER = 6

/**
 * A real file: stored on one node, found and fetched from the other, which copied it, and proven on chain by a miner that is paid for it.
 * Each step is checked, not just told.
 */
export async function storageTour(file: DevnetFile, provider: JsonRpcProvider, folder: string): Promise<void> {
  const [original, copy] = [join(folder, 'tour.bin'), join(folder, 'tour-downloaded.bin')]
  try {
    say('\nStorage: a file is stored, found, fetched from another node, and its storage proven and paid.')
    writeFileSync(original, newContent())
    const { root, block } = await store(file, provider, original)
    await fetchFromOther(file, provider, root, original, copy)
    await proofPaid(file, provider, block)
  } finally {
    for (const path of [original, copy]) rmSync(path, { force: true })
  }
}

/** Different at every start, so that the network has not seen it before. */
function newContent(): Uint8Array {
  const content = randomFillSync(Buffer.alloc(FILE_BYTES))
  content.write(`Stored by the Perigee tour on ${new Date().toISOString()}\n`)
  return content
}

async function store({ chain, services }: DevnetFile, provider: JsonRpcProvider, path: string) {
  const [first] = services.storageNodes!
  const signer = new Wallet(chain.accounts[UPLOADER]!.privateKey, provider)
  const block = await provider.getBlockNumber()
  const result = await step(`upload of ${FILE_BYTES.toLocaleString('en')} bytes to ${first}`, () => upload(path, { signer, nodes: [first!] }))
  say(`    root ${result.root}, submission ${result.seq}, ${formatEther(result.fee)} coins paid in ${result.transaction}`)
  const receipt = result.nodes[0]?.receipt
  if (receipt) say(`    the node signed that it keeps the file until ${new Date(receipt.until * 1000).toISOString()}`)
  return { root: result.root, block }
}

async function fetchFromOther({ contracts, services }: DevnetFile, provider: JsonRpcProvider, root: string, original: string, copy: string) {
  const [, second] = services.storageNodes!
  const indexer = new IndexerClient(services.storageIndexer!)
  const located = await step('copied to the other node, as the indexer tells', () =>
    until(async () => {
      const urls = (await indexer.locations(root)).map(({ url }) => url)
      return urls.includes(second!) ? urls : undefined
    }, `${second} does not hold the file`),
  )
  say(`    held by ${located.join(' and ')}`)
  const { flow } = await connectFlow(contracts.Flow!, provider)
  const result = await step(`download from ${second} only, verified against the root`, () =>
    download(root, copy, { nodes: [second!], log: { flow }, force: true }),
  )
  if (!readFileSync(copy).equals(readFileSync(original))) throw new Error(`what ${second} served has the right root but is not the file`)
  say(`    ${result.size.toLocaleString('en')} bytes, equal to the original`)
}

async function proofPaid({ contracts }: DevnetFile, provider: JsonRpcProvider, since: number) {
  const rewards = contractNamed('StorageRewards', contracts, provider)
  const paid = await step('storage proven by the miner, and paid', () =>
    until(async () => (await rewards.queryFilter(rewards.filters.DistributeReward(), since))[0], 'no miner was paid'),
  )
  const receipt = (await paid.getTransactionReceipt())!
  say(`    miner ${paid.args.minerId} proved the seal that its nonce drew, in ${receipt.hash}`)
  say(`    reward ${formatEther(paid.args.amount)} coins, for ${formatEther(receipt.fee)} of gas`)
}

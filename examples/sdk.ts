// Our SDK on the same network: node --import ./scripts/ts.mjs examples/sdk.ts <file>
import { JsonRpcProvider, Wallet } from 'ethers'
import { download, findNetwork, upload } from '../sdk/index.ts'

const path = process.argv[2] ?? 'README.md'
const { chain, services } = findNetwork()
const provider = new JsonRpcProvider(chain.rpcUrl)
const signer = new Wallet(chain.accounts[8]!.privateKey, provider)

const stored = await upload(path, { indexer: services.storageIndexer, signer })
console.log(`${path} is submission ${stored.seq} with root ${stored.root}, kept by`)
for (const { url, receipt } of stored.nodes)
  console.log(`  ${url}${receipt ? `, which signed for it until ${new Date(receipt.until * 1000).toISOString()}` : ''}`)

const copy = `${path}.${stored.root.slice(2, 10)}.copy`
const fetched = await download(stored.root, copy, { indexer: services.storageIndexer })
console.log(`${copy}: every byte verified, from ${fetched.sources.map(({ url }) => url).join(' and ')}`)
provider.destroy()

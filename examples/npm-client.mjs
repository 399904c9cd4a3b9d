// The public npm client, unchanged, against the local network: node examples/npm-client.mjs <file>
import { readFileSync } from 'node:fs'
import { Indexer, ZgFile } from '@0gfoundation/0g-ts-sdk'
import { JsonRpcProvider, Wallet } from 'ethers'

const { chain, services } = JSON.parse(readFileSync(process.env.PERIGEE_NETWORK ?? '.devnet/devnet.json', 'utf8'))
const path = process.argv[2] ?? 'README.md'
const signer = new Wallet(chain.accounts[7].privateKey, new JsonRpcProvider(chain.rpcUrl))
const indexer = new Indexer(services.storageIndexer)

const file = await ZgFile.fromFilePath(path)
const [uploaded, uploadError] = await indexer.upload(file, chain.rpcUrl, signer)
await file.close()
if (uploadError) throw uploadError

const copy = `${path}.${uploaded.rootHash.slice(2, 10)}.copy`
const downloadError = await indexer.download(uploaded.rootHash, copy)
if (downloadError) throw downloadError
console.log(
  `${path} is stored as ${uploaded.rootHash}, and back as ${copy}:`,
  readFileSync(path).equals(readFileSync(copy)) ? 'the same bytes' : 'DIFFERENT bytes',
)
process.exit()

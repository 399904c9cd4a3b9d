import Table from 'cli-table3'
import type { Account } from './chain.ts'
import type { DevnetFile } from './devnet-file.ts'

/** Development accounts from here on are nobody's but the user's. */
const FIRST_USER_ACCOUNT = 6
const SHOWN_ACCOUNTS = 3

/** Endpoints, contracts and accounts, for a person to copy from. */
export function overview({ chain, contracts, services }: DevnetFile): string {
  const table = new Table({ head: ['', 'where'], style: { head: [], border: [] } })
  table.push(['chain', `${chain.rpcUrl} (chain id ${chain.chainId})`])
  for (const [i, url] of (services.storageNodes ?? []).entries()) table.push([`storage node ${i}`, url])
  if (services.storageIndexer) table.push(['storage indexer', services.storageIndexer])
  if (services.kv) table.push(['key-value store', services.kv])
  for (const { address, url } of services.computeProviders ?? []) table.push(['compute provider', `${url}\n${address}`])
  if (services.tuningProvider) table.push(['fine-tuning provider', `${services.tuningProvider.url}\n${services.tuningProvider.address}`])
  if (services.gateway) table.push(['OpenAI gateway', `${services.gateway}/v1`])
  if (services.daDisperser) table.push(['DA disperser', `${services.daDisperser} (gRPC)`])
  if (services.daRetriever) table.push(['DA retriever', services.daRetriever])
  for (const [name, address] of Object.entries(contracts)) table.push([name, address])
  for (const [i, account] of userAccounts(chain.accounts).entries())
    table.push([`account ${FIRST_USER_ACCOUNT + i}\n10,000 coins`, `${account.address}\n${account.privateKey}`])
  return table.toString()
}

function userAccounts(accounts: Account[]): Account[] {
  return accounts.slice(FIRST_USER_ACCOUNT, FIRST_USER_ACCOUNT + SHOWN_ACCOUNTS)
}

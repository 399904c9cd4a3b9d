import { JsonRpcProvider } from 'ethers'

/** Public networks that the same deployment runs on, given a key. */
export const NETWORKS = {
  zeroGravity: { chainId: 16661, rpcUrl: 'https://evmrpc.0g.ai' },
  zeroGravityTestnet: { chainId: 16602, rpcUrl: 'https://evmrpc-testnet.0g.ai' },
} as const

/**
 * On the local chain the public compute client expects contracts where this account creates them with its nonces 2, 6 and 12 (development
 * account 0). Nothing else may be sent from it.
 */
const RESERVED = { chainId: 31337, account: '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266' }

export function isReserved(chainId: number, account: string): boolean {
  return chainId === RESERVED.chainId && account === RESERVED.account
}

/** A provider that caches nothing, as a nonce 250 ms old is wrong on a chain that mines at once, and sends each request when it is made. */
export function connect(rpcUrl: string): JsonRpcProvider {
  return new JsonRpcProvider(rpcUrl, undefined, { cacheTimeout: -1, batchMaxCount: 1, staticNetwork: true, pollingInterval: 500 })
}

import { readFile } from 'node:fs/promises'
import { type Signer, Wallet } from 'ethers'
import { PerigeeError, reasonOf } from '../errors.ts'
import type { Network } from '../network.ts'
import { providerOf } from './options.ts'
import { notice } from './output.ts'

/** Development account that people's commands use; those before it belong to the network's own services. */
const DEV_ACCOUNT = 6

export interface SignerFlags {
  keystore?: string
  json?: boolean
}

/** The account that pays: --keystore, PRIVATE_KEY, or on a development network one of its funded accounts. */
export async function signerOf(network: Network, flags: SignerFlags): Promise<Signer> {
  return (await walletOf(network, flags)).connect(providerOf(network.chain))
}

export async function walletOf(network: Network, flags: SignerFlags): Promise<Wallet> {
  if (flags.keystore) return fromKeystore(flags.keystore)
  const key = process.env.PRIVATE_KEY
  if (key) return fromKey(key)
  const account = network.chain.accounts[DEV_ACCOUNT] ?? network.chain.accounts.at(-1)
  if (!account) {
    throw new PerigeeError('USAGE', 'no account to pay with', {
      wayOut: 'Set PRIVATE_KEY, or name a keystore file with --keystore (its password in KEYSTORE_PASSWORD).',
    })
  }
  notice(`Using development account ${account.address} of the local network; PRIVATE_KEY or --keystore name another.`, flags)
  return new Wallet(account.privateKey)
}

function fromKey(key: string): Wallet {
  try {
    return new Wallet(key)
  } catch {
    // Without the cause: it may carry the key.
    throw new PerigeeError('USAGE', 'PRIVATE_KEY is not a private key', { wayOut: 'It is 32 bytes in hexadecimal.' })
  }
}

async function fromKeystore(path: string): Promise<Wallet> {
  const password = process.env.KEYSTORE_PASSWORD
  if (password === undefined) throw new PerigeeError('USAGE', 'the keystore needs a password', { wayOut: 'Set KEYSTORE_PASSWORD.' })
  const content = await readFile(path, 'utf8').catch((cause) => {
    throw new PerigeeError(cause.code === 'ENOENT' ? 'NOT_FOUND' : 'USAGE', `cannot read the keystore ${path}: ${reasonOf(cause)}`, { cause })
  })
  const wallet = await Wallet.fromEncryptedJson(content, password).catch((cause) => {
    throw new PerigeeError('USAGE', `cannot open the keystore ${path}: ${reasonOf(cause)}`, { wayOut: 'Check KEYSTORE_PASSWORD.', cause })
  })
  return new Wallet(wallet.privateKey)
}

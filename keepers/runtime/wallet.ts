import { readFileSync } from 'node:fs'
import { type Provider, Wallet } from 'ethers'
import { ConfigError } from './config.ts'

export interface KeyConfig {
  privateKey?: string | undefined
  keystore?: string | undefined
  keystorePassword?: string | undefined
}

/**
 * The wallet named by PRIVATE_KEY or by a keystore file with KEYSTORE_PASSWORD.
 * @throws ConfigError when neither, both, or an unreadable one is given
 */
export async function openWallet({ privateKey, keystore, keystorePassword }: KeyConfig, provider: Provider | null = null): Promise<Wallet> {
  if ((privateKey === undefined) === (keystore === undefined)) {
    throw new ConfigError([`${privateKey === undefined ? 'no key to sign with' : 'two keys to sign with'}: set exactly one of PRIVATE_KEY and --keystore`])
  }
  if (privateKey !== undefined) return new Wallet(privateKey.startsWith('0x') ? privateKey : `0x${privateKey}`, provider)
  if (keystorePassword === undefined) throw new ConfigError([`keystore ${keystore} needs its password in KEYSTORE_PASSWORD`])
  try {
    const wallet = await Wallet.fromEncryptedJson(readFileSync(keystore!, 'utf8'), keystorePassword)
    return new Wallet(wallet.privateKey, provider)
  } catch (error) {
    throw new ConfigError([`keystore ${keystore} could not be opened: ${(error as Error).message}`])
  }
}

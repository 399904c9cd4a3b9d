import { readFile } from 'node:fs/promises'
import type { DecryptionKeys } from '../../../protocol/storage/encryption.ts'
import { PerigeeError } from '../../errors.ts'

/** The shared key of a file: from --key-file or ENCRYPTION_KEY, as 64 hexadecimal digits (a key file may also hold 32 raw bytes). */
export async function sharedKey(keyFile: string | undefined): Promise<Uint8Array | undefined> {
  if (!keyFile) return process.env.ENCRYPTION_KEY === undefined ? undefined : fromHex(process.env.ENCRYPTION_KEY, 'ENCRYPTION_KEY')
  const content = await readFile(keyFile).catch((cause) => {
    throw new PerigeeError(cause.code === 'ENOENT' ? 'NOT_FOUND' : 'USAGE', `cannot read the key file ${keyFile}`, { cause })
  })
  return content.length === 32 ? content : fromHex(content.toString('utf8').trim(), keyFile)
}

/** What a reader may hold: the shared key, and PRIVATE_KEY for files encrypted to a public key. */
export async function decryptionKeys(keyFile: string | undefined): Promise<DecryptionKeys> {
  const key = await sharedKey(keyFile)
  const privateKey = process.env.PRIVATE_KEY === undefined ? undefined : fromHex(process.env.PRIVATE_KEY, 'PRIVATE_KEY')
  if (key || privateKey) return { ...(key ? { key } : {}), ...(privateKey ? { privateKey } : {}) }
  throw new PerigeeError('USAGE', 'there is no key to decrypt with', {
    wayOut: 'Set ENCRYPTION_KEY or --key-file, or PRIVATE_KEY for a file encrypted to a public key.',
  })
}

function fromHex(text: string, source: string): Uint8Array {
  const digits = text.replace(/^0x/, '')
  // The text is not shown: it may be a key with a typing error.
  if (!/^[0-9a-fA-F]{64}$/.test(digits)) throw new PerigeeError('USAGE', `${source} is not a key`, { wayOut: 'A key is 32 bytes: 64 hexadecimal digits.' })
  return Buffer.from(digits, 'hex')
}

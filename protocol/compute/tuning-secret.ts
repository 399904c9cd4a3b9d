import { decrypt, encrypt } from 'eciesjs'
import { Config } from 'eciesjs/config'
import { getBytes, SigningKey } from 'ethers'

// The key of a model, encrypted to the user who had it made (ECIES on secp256k1). Compute §5.3:
// ephemeral public key 65 | nonce 16 | tag 16 | ciphertext 32, with HKDF-SHA256 over both uncompressed points and AES-256-GCM.

export const MODEL_KEY_LENGTH = 32
export const ENCRYPTED_SECRET_LENGTH = 129

/** Said in full, and not the library's own: that one is a default that any importer can change. */
const config = Object.assign(new Config(), {
  ellipticCurve: 'secp256k1',
  isEphemeralKeyCompressed: false,
  isHkdfKeyCompressed: false,
  symmetricAlgorithm: 'aes-256-gcm',
  symmetricNonceLength: 16,
})

/**
 * @param publicKey of the user, hex, compressed or not
 * @param modelKey 32 bytes
 * @returns 129 bytes
 */
export function encryptModelKey(publicKey: string, modelKey: Uint8Array): Uint8Array {
  if (modelKey.length !== MODEL_KEY_LENGTH) throw new RangeError(`the key of a model has ${MODEL_KEY_LENGTH} bytes, not ${modelKey.length}`)
  return encrypt(getBytes(SigningKey.computePublicKey(publicKey, false)), modelKey, config)
}

/**
 * @param privateKey of the user, hex
 * @throws when the secret was not encrypted to this key
 */
export function decryptModelKey(privateKey: string, secret: Uint8Array): Uint8Array {
  if (secret.length !== ENCRYPTED_SECRET_LENGTH) throw new RangeError(`the encrypted key of a model has ${ENCRYPTED_SECRET_LENGTH} bytes, not ${secret.length}`)
  return decrypt(getBytes(privateKey), secret, config)
}

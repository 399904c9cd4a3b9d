import { getBytes, hashMessage, recoverAddress, Signature, SigningKey, stripZerosLeft } from 'ethers'

/** Who signed, and with which key (65 bytes, uncompressed). */
export interface Recovered {
  address: string
  publicKey: string
}

/** The signer of an EIP-191 message (text or bytes); undefined when the signature is malformed. */
export function recoverPersonal(message: string | Uint8Array, signature: string): Recovered | undefined {
  // Ethers also reads the compact form of 64 bytes and v of EIP-155, so that one signature would have many texts.
  if (!/^0x[0-9a-f]{128}1[bc]$/i.test(signature)) return undefined
  try {
    const digest = hashMessage(message)
    const parsed = Signature.from(signature)
    return { address: recoverAddress(digest, parsed), publicKey: SigningKey.recoverPublicKey(digest, parsed) }
  } catch {
    return undefined // s in the upper half, or no point of the curve
  }
}

/**
 * Whether `signer` signed a digest of 32 bytes (EIP-191), and her key if so. The public compute SDK drops leading zero bytes of the digest before it
 * signs, in 1 of 256 cases: then the shorter message counts too. Compute §5.2.
 */
export function recoverSignedDigest(digest: string, signature: string, signer: string): Recovered | undefined {
  const stripped = stripZerosLeft(digest)
  for (const message of stripped === digest ? [digest] : [digest, stripped]) {
    const recovered = recoverPersonal(getBytes(message), signature)
    if (recovered?.address.toLowerCase() === signer.toLowerCase()) return recovered
  }
  return undefined
}

/** Signs the text of an answer, as the public SDK checks it. */
export const signText = (key: SigningKey, text: string): string => key.sign(hashMessage(text)).serialized

/** Whether `signer` signed the text of an answer. */
export const isSignedText = (text: string, signature: string, signer: string): boolean =>
  recoverPersonal(text, signature)?.address.toLowerCase() === signer.toLowerCase()

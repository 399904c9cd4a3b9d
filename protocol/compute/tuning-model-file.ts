import { createCipheriv, createDecipheriv } from 'node:crypto'
import { concat, getBytes, keccak256, recoverAddress, type SigningKey } from 'ethers'

// The file in which a tuned model is delivered. Compute §5.3: signature 65 | IV 12 | for every 64 MiB of the model: ciphertext | tag 16 (AES-256-GCM, the IV
// raised by one for each). The signature is the TEE signer's, over keccak256 of all tags, without a prefix.

export const CHUNK_LENGTH = 64 * 1024 * 1024
const SIGNATURE_LENGTH = 65
const IV_LENGTH = 12
const TAG_LENGTH = 16
export const HEADER_LENGTH = SIGNATURE_LENGTH + IV_LENGTH

/** The file is damaged, of another key, or not by this signer. */
export class ModelFileError extends Error {
  override readonly name = 'ModelFileError'
}

/** Bytes of the encrypted file of a model of `size` bytes. */
export const encryptedLength = (size: number): number => HEADER_LENGTH + size + Math.ceil(size / CHUNK_LENGTH) * TAG_LENGTH

/** A big-endian counter of 12 bytes. */
function raise(iv: Uint8Array): void {
  for (let i = iv.length - 1; i >= 0; i--) {
    iv[i]! += 1
    if (iv[i] !== 0) return
  }
}

export interface EncryptionOptions {
  /** 32 bytes. */
  key: Uint8Array
  /** 12 bytes, random: a key must never meet an IV twice. */
  iv: Uint8Array
}

/** Encrypts a model piece by piece: first `body`, written behind `HEADER_LENGTH` bytes that are left free, then `header`. */
export class ModelFileEncryption {
  readonly #key: Uint8Array
  readonly #iv: Uint8Array
  readonly #tags: Uint8Array[] = []
  #ended = false

  constructor({ key, iv }: EncryptionOptions) {
    if (iv.length !== IV_LENGTH) throw new RangeError(`the IV has ${IV_LENGTH} bytes, not ${iv.length}`)
    this.#key = key
    // Copied: the slice of a Buffer would share its memory.
    this.#iv = Uint8Array.from(iv)
  }

  /** Everything behind the header; holds no more than the piece it was given. */
  async *body(model: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const iv = this.#iv.slice()
    let cipher: ReturnType<typeof createGcm> | undefined
    let room = 0
    const close = (): Uint8Array => {
      const last = cipher!.final()
      const tag = cipher!.getAuthTag()
      this.#tags.push(tag)
      cipher = undefined
      raise(iv)
      return Buffer.concat([last, tag])
    }
    for await (const piece of model) {
      for (let at = 0; at < piece.length; ) {
        if (!cipher) {
          cipher = createGcm(this.#key, iv)
          room = CHUNK_LENGTH
        }
        const part = piece.subarray(at, at + room)
        at += part.length
        room -= part.length
        yield cipher.update(part)
        if (room === 0) yield close()
      }
    }
    if (cipher) yield close()
    if (this.#tags.length === 0) throw new ModelFileError('the model is empty')
    this.#ended = true
  }

  /** The first bytes of the file, once the body has been read to its end. */
  header(signer: SigningKey): Uint8Array {
    if (!this.#ended) throw new ModelFileError('the header signs the whole body: read that first')
    return getBytes(concat([signer.sign(tagsDigest(this.#tags)).serialized, this.#iv]))
  }
}

const createGcm = (key: Uint8Array, iv: Uint8Array) => createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_LENGTH })

const tagsDigest = (tags: readonly Uint8Array[]): string => keccak256(concat(tags))

export interface DecryptionOptions {
  /** 32 bytes. */
  key: Uint8Array
  /** Address of the TEE signer that delivered it. */
  signer: string
}

/**
 * Decrypts a delivered file chunk by chunk, each authentic before it is given out; holds one chunk. Who made the file is known only at its end: what was read
 * counts when the generator has ended without an error.
 * @throws ModelFileError
 */
export async function* decryptModelFile(
  file: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { key, signer }: DecryptionOptions,
): AsyncGenerator<Uint8Array> {
  const tags: Uint8Array[] = []
  let header: { signature: Uint8Array; iv: Uint8Array } | undefined
  for await (const part of parts(file)) {
    if (!header) {
      if (part.length < HEADER_LENGTH) throw new ModelFileError(`the file ends within its header, at byte ${part.length}`)
      header = { signature: part.slice(0, SIGNATURE_LENGTH), iv: Uint8Array.from(part.subarray(SIGNATURE_LENGTH)) }
      continue
    }
    if (part.length <= TAG_LENGTH) throw new ModelFileError('the file ends within a tag')
    const tag = part.slice(part.length - TAG_LENGTH)
    tags.push(tag)
    yield openChunk(part.subarray(0, part.length - TAG_LENGTH), tag, key, header.iv)
    raise(header.iv)
  }
  if (!header || tags.length === 0) throw new ModelFileError('the file holds no model')
  const author = authorOf(tags, header.signature)
  if (author?.toLowerCase() !== signer.toLowerCase()) throw new ModelFileError(`the file is signed by ${author ?? 'nobody'}, not by ${signer}`)
}

function openChunk(ciphertext: Uint8Array, tag: Uint8Array, key: Uint8Array, iv: Uint8Array): Uint8Array {
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_LENGTH }).setAuthTag(tag)
  const plain = decipher.update(ciphertext)
  try {
    decipher.final()
  } catch (cause) {
    throw new ModelFileError('the file is damaged, or encrypted with another key', { cause })
  }
  return plain
}

function authorOf(tags: readonly Uint8Array[], signature: Uint8Array): string | undefined {
  try {
    return recoverAddress(tagsDigest(tags), `0x${Buffer.from(signature).toString('hex')}`)
  } catch {
    return undefined
  }
}

/** Cuts a file into its header and its chunks with their tags; the last part of each may be short. */
async function* parts(file: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let wanted = HEADER_LENGTH
  let held: Uint8Array[] = []
  let length = 0
  for await (const piece of file) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + wanted - length)
      held.push(part)
      length += part.length
      at += part.length
      if (length < wanted) continue
      yield Buffer.concat(held)
      held = []
      length = 0
      wanted = CHUNK_LENGTH + TAG_LENGTH
    }
  }
  if (length > 0) yield Buffer.concat(held)
}

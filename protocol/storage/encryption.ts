/**
 * Client-side encryption of files, in the format of the public storage clients: a header, then AES-256-CTR.
 *
 *   version 1: 0x01 ‖ nonce16                          the key is a shared 32-byte key
 *   version 2: 0x02 ‖ ephemeral public key33 ‖ nonce16  the key is HKDF-SHA256(x coordinate of ECDH(ephemeral, recipient))
 *
 * The format has no authentication tag and no room for one: a byte more would be a byte of plaintext to other clients, so a
 * wrong key silently gives garbage. Other clients pick all 16 bytes of the nonce at random and none look into them, so ours
 * carries the check there:
 *
 *   nonce = salt10 ‖ mark3 ‖ check3
 *     mark  = SHA-256("perigee/storage/nonce/1" ‖ header up to and with the salt)[0..3]      says, without a key, that a check follows
 *     check = HMAC-SHA256(HKDF(key, "perigee/storage/key-check/1"), header up to and with the mark)[0..3]
 *
 * A wrong key is refused before the first byte of plaintext, except with probability 2^-24. A file of another client has no mark
 * (it looks as if it had with probability 2^-24) and is decrypted unchecked. The salt keeps CTR streams under one shared key
 * apart: among 2^24 files, two collide with probability 2^-33. Integrity is not the header's job: the file root covers every byte.
 */
import { createCipheriv, createECDH, createHash, createHmac, ECDH, hkdfSync, randomBytes } from 'node:crypto'

export const AES_HEADER_SIZE = 17
export const ECIES_HEADER_SIZE = 50

const CURVE = 'secp256k1'
const PUBLIC_KEY_SIZE = 33
const NONCE_SIZE = 16
const SALT_SIZE = 10
const MARK_SIZE = 3
const BLOCK_SIZE = 16
const ECIES_INFO = '0g-storage-client/ecies/v1/aes-256'
const MARK_DOMAIN = 'perigee/storage/nonce/1'
const CHECK_INFO = 'perigee/storage/key-check/1'

/** What precedes the ciphertext. `ephemeral` is the compressed one-time public key. */
export type EncryptionHeader = { version: 1; nonce: Uint8Array } | { version: 2; nonce: Uint8Array; ephemeral: Uint8Array }

/** Who will be able to decrypt: holders of a shared 32-byte key, or of the private key to a secp256k1 public key (33, 64 or 65 bytes). */
export type Recipient = { key: Uint8Array } | { publicKey: Uint8Array }

/** What a reader holds; the header says which of the two it needs. 32 bytes each. */
export interface DecryptionKeys {
  key?: Uint8Array
  privateKey?: Uint8Array
}

/** The bytes do not begin with an encryption header: the file is not encrypted, or is cut short. */
export class EncryptionHeaderError extends Error {
  override name = 'EncryptionHeaderError'
}

/** A key that is missing, malformed or not the one the file was encrypted with. */
export class WrongKey extends Error {
  override name = 'WrongKey'
}

export function headerSize(version: number): number {
  if (version === 1) return AES_HEADER_SIZE
  if (version === 2) return ECIES_HEADER_SIZE
  throw new EncryptionHeaderError(`not an encrypted file: it begins with byte ${version}, an encryption header with 1 or 2`)
}

/** Reads the header at the start of `bytes`, which may be longer. */
export function parseHeader(bytes: Uint8Array): EncryptionHeader {
  const version = bytes[0]
  if (version === undefined) throw new EncryptionHeaderError('not an encrypted file: it is empty')
  const size = headerSize(version)
  if (bytes.length < size) throw new EncryptionHeaderError(`the encryption header is cut short: version ${version} has ${size} bytes, here are ${bytes.length}`)
  const nonce = bytes.slice(size - NONCE_SIZE, size)
  return version === 1 ? { version, nonce } : { version: 2, nonce, ephemeral: bytes.slice(1, 1 + PUBLIC_KEY_SIZE) }
}

export function encodeHeader(header: EncryptionHeader): Uint8Array {
  return header.version === 1 ? concat([header.version], header.nonce) : concat([header.version], header.ephemeral, header.nonce)
}

/** A file's header and key: encrypts and decrypts (the same operation) at any offset. */
export class FileCipher {
  readonly header: EncryptionHeader
  /** Whether the header proves that the key is the right one. False only for files that other clients made. */
  readonly keyVerified: boolean
  readonly #key: Uint8Array

  private constructor(header: EncryptionHeader, key: Uint8Array, keyVerified: boolean) {
    this.header = header
    this.#key = key
    this.keyVerified = keyVerified
  }

  /** A fresh cipher to encrypt one file with. Never encrypt two files with one cipher. */
  static create(recipient: Recipient): FileCipher {
    if ('key' in recipient) {
      const key = keyOf32(recipient.key, 'the key')
      return new FileCipher(markedHeader({ version: 1 }, key), key, true)
    }
    const oneTime = createECDH(CURVE)
    oneTime.generateKeys()
    const ephemeral = bytesOf(oneTime.getPublicKey(null, 'compressed'))
    const key = eciesKey(oneTime.computeSecret(compressedPublicKey(recipient.publicKey)))
    return new FileCipher(markedHeader({ version: 2, ephemeral }, key), key, true)
  }

  /** The cipher of an existing file. Throws WrongKey when the key it needs is absent, or is provably not the file's. */
  static open(header: EncryptionHeader, keys: DecryptionKeys): FileCipher {
    const key = keyFor(header, keys)
    if (!isMarked(header)) return new FileCipher(header, key, false)
    const encoded = encodeHeader(header)
    const marked = encoded.subarray(0, encoded.length - checkSize)
    if (!sameBytes(encoded.subarray(marked.length), keyCheck(key, marked))) {
      throw new WrongKey(`this is not the ${header.version === 1 ? 'key' : 'private key'} that the file was encrypted for`)
    }
    return new FileCipher(header, key, true)
  }

  /** Bytes the header takes in front of the ciphertext. */
  get headerSize(): number {
    return headerSize(this.header.version)
  }

  /** Encrypts or decrypts `bytes` found at `offset` of the plaintext (the header does not count). */
  crypt(offset: number, bytes: Uint8Array): Uint8Array {
    return keystreamAt(this.#key, this.header.nonce, offset)(bytes)
  }

  /** As `crypt` for consecutive pieces, beginning at `offset` of the plaintext. */
  async *cryptStream(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, offset = 0): AsyncGenerator<Uint8Array> {
    const apply = keystreamAt(this.#key, this.header.nonce, offset)
    for await (const piece of pieces) yield apply(piece)
  }
}

/** Encrypts a whole file: its header, then its ciphertext. */
export async function* encryptStream(plaintext: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, recipient: Recipient): AsyncGenerator<Uint8Array> {
  const cipher = FileCipher.create(recipient)
  yield encodeHeader(cipher.header)
  yield* cipher.cryptStream(plaintext)
}

/** Decrypts a whole file from its first byte. Nothing is yielded when the header or the key is wrong; `opened` is called when they are not. */
export async function* decryptStream(
  file: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  keys: DecryptionKeys,
  opened?: (cipher: FileCipher) => void,
): AsyncGenerator<Uint8Array> {
  let cipher: FileCipher | undefined
  let head = new Uint8Array(0)
  let offset = 0
  for await (const piece of file) {
    let body = piece
    if (!cipher) {
      head = concat(head, piece)
      if (head.length === 0 || head.length < headerSize(head[0]!)) continue
      cipher = FileCipher.open(parseHeader(head), keys)
      opened?.(cipher)
      body = head.subarray(cipher.headerSize)
    }
    if (body.length === 0) continue
    yield cipher.crypt(offset, body)
    offset += body.length
  }
  if (!cipher) parseHeader(head) // ended inside the header: throws what is missing
}

/** Whether the header was made by a client of ours, and so tells a wrong key from the right one. */
export function isMarked(header: EncryptionHeader): boolean {
  const encoded = encodeHeader(header)
  const salted = encoded.subarray(0, encoded.length - NONCE_SIZE + SALT_SIZE)
  return sameBytes(encoded.subarray(salted.length, salted.length + MARK_SIZE), mark(salted))
}

const checkSize = NONCE_SIZE - SALT_SIZE - MARK_SIZE

function markedHeader(header: { version: 1 } | { version: 2; ephemeral: Uint8Array }, key: Uint8Array): EncryptionHeader {
  const prefix = header.version === 1 ? Uint8Array.of(1) : concat([2], header.ephemeral)
  const salted = concat(prefix, randomBytes(SALT_SIZE))
  const marked = concat(salted, mark(salted))
  return parseHeader(concat(marked, keyCheck(key, marked)))
}

function mark(salted: Uint8Array): Uint8Array {
  return bytesOf(createHash('sha256').update(MARK_DOMAIN).update(salted).digest()).subarray(0, MARK_SIZE)
}

function keyCheck(key: Uint8Array, marked: Uint8Array): Uint8Array {
  return bytesOf(createHmac('sha256', derive(key, CHECK_INFO)).update(marked).digest()).subarray(0, checkSize)
}

function keyFor(header: EncryptionHeader, keys: DecryptionKeys): Uint8Array {
  if (header.version === 1) {
    if (!keys.key) throw new WrongKey('the file is encrypted with a shared key: give the 32-byte key')
    return keyOf32(keys.key, 'the key')
  }
  if (!keys.privateKey) throw new WrongKey('the file is encrypted to a public key: give the private key')
  const reader = createECDH(CURVE)
  try {
    reader.setPrivateKey(keyOf32(keys.privateKey, 'the private key'))
  } catch (cause) {
    throw cause instanceof WrongKey ? cause : new WrongKey('the private key is not a secp256k1 key', { cause })
  }
  try {
    return eciesKey(reader.computeSecret(header.ephemeral))
  } catch (cause) {
    throw new EncryptionHeaderError('the ephemeral public key in the encryption header is not a point of secp256k1', { cause })
  }
}

/** Accepts the compressed and uncompressed encodings, and x ‖ y without its prefix. */
function compressedPublicKey(publicKey: Uint8Array): Uint8Array {
  try {
    const encoded = publicKey.length === 64 ? concat([4], publicKey) : publicKey
    return bytesOf(ECDH.convertKey(encoded, CURVE, undefined, undefined, 'compressed') as Buffer)
  } catch (cause) {
    throw new WrongKey(`not a secp256k1 public key (${publicKey.length} bytes; 33, 64 or 65 expected)`, { cause })
  }
}

const eciesKey = (sharedX: Uint8Array): Uint8Array => derive(sharedX, ECIES_INFO)

/** HKDF-SHA256 without salt to 32 bytes. */
function derive(secret: Uint8Array, info: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), info, 32))
}

/** CTR from `offset` on: the counter is the nonce plus the block number, mod 2^128. */
function keystreamAt(key: Uint8Array, nonce: Uint8Array, offset: number): (bytes: Uint8Array) => Uint8Array {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new RangeError(`offset ${offset} is not a position in a file`)
  const counter = BigInt.asUintN(128, BigInt(`0x${Buffer.from(nonce).toString('hex')}`) + BigInt(Math.floor(offset / BLOCK_SIZE)))
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.from(counter.toString(16).padStart(32, '0'), 'hex'))
  cipher.update(new Uint8Array(offset % BLOCK_SIZE))
  return (bytes) => bytesOf(cipher.update(bytes))
}

function keyOf32(key: Uint8Array, what: string): Uint8Array {
  if (key.length !== 32) throw new WrongKey(`${what} must be 32 bytes, got ${key.length}`)
  return key
}

const bytesOf = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

function concat(...parts: ArrayLike<number>[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

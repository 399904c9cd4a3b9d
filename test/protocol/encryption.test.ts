import { createECDH } from 'node:crypto'
import * as client from '@0gfoundation/0g-ts-sdk'
import { expect } from 'chai'
import { getBytes, hexlify } from 'ethers'
import fc from 'fast-check'
import {
  decryptStream,
  EncryptionHeaderError,
  encodeHeader,
  encryptStream,
  FileCipher,
  isMarked,
  parseHeader,
  WrongKey,
} from '../../protocol/storage/encryption.ts'
import vectors from '../vectors/storage-vectors.json' with { type: 'json' }

fc.configureGlobal({ seed: 1 })

const { aes256ctr, counterWrap, ecies } = vectors.encryption
const key = getBytes(aes256ctr.key)
const otherKey = new Uint8Array(32).fill(9)
const privateKey = getBytes(ecies.recipientPriv)
const publicKey = getBytes(ecies.recipientPub)
const plaintext = Uint8Array.from({ length: 100 }, (_, i) => (i * 31 + 7) & 255)

/** Splits bytes at the given sizes, the rest last: how a network delivers a file. */
function* pieces(bytes: Uint8Array, sizes: number[]): Generator<Uint8Array> {
  let at = 0
  for (const size of sizes) {
    yield bytes.subarray(at, at + size)
    at += size
  }
  yield bytes.subarray(at)
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return new Uint8Array(Buffer.concat(pieces))
}

async function failure(attempt: () => unknown): Promise<Error> {
  try {
    await attempt()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

describe('client-side encryption', () => {
  describe('the format of the public clients', () => {
    it('given the vector key and nonce, encrypts to the vector ciphertext at offsets 0 and 37', () => {
      const cipher = FileCipher.open(parseHeader(getBytes(aes256ctr.file)), { key })
      expect(hexlify(cipher.crypt(0, plaintext))).to.equal(aes256ctr.cipherAtOffset0)
      expect(hexlify(cipher.crypt(37, plaintext))).to.equal(aes256ctr.cipherAtOffset37)
    })

    it('given the vector file, decrypts it', async () => {
      expect(await collect(decryptStream([getBytes(aes256ctr.file)], { key }))).to.deep.equal(plaintext)
    })

    it('given a nonce of all ones, the counter wraps to zero', () => {
      const cipher = FileCipher.open({ version: 1, nonce: new Uint8Array(16).fill(255) }, { key })
      expect(hexlify(cipher.crypt(0, new Uint8Array(48)))).to.equal(counterWrap.keystream48)
      expect(hexlify(cipher.crypt(16, new Uint8Array(16)))).to.equal(counterWrap.keystreamAtOffset16)
    })

    it('given the vector key pairs, derives the vector key', () => {
      const header = { version: 2 as const, ephemeral: getBytes(ecies.ephemeralPub), nonce: getBytes(aes256ctr.nonce) }
      const cipher = FileCipher.open(header, { privateKey })
      const expected = FileCipher.open({ version: 1, nonce: header.nonce }, { key: getBytes(ecies.aesKey) })
      expect(cipher.crypt(5, plaintext)).to.deep.equal(expected.crypt(5, plaintext))
    })

    it('given files of ours, the public client decrypts them', async () => {
      const shared = await collect(encryptStream([plaintext], { key }))
      expect(client.decryptFile(key, shared)).to.deep.equal(plaintext)
      const sealed = await collect(encryptStream([plaintext], { publicKey }))
      const fileKey = client.deriveEciesDecryptKey(privateKey, client.parseEncryptionHeader(sealed).ephemeralPub)
      expect(client.decryptFile(fileKey, sealed)).to.deep.equal(plaintext)
    })

    it('given files of the public client, ours decrypts them and says that the key was not verified', async () => {
      const shared = client.newSymmetricHeader()
      const sharedBody = plaintext.slice()
      client.cryptAt(key, shared.nonce, 0, sharedBody)
      expect(await collect(decryptStream([shared.toBytes(), sharedBody], { key }))).to.deep.equal(plaintext)

      const { header, key: fileKey } = client.newEciesHeader(publicKey)
      const sealedBody = plaintext.slice()
      client.cryptAt(fileKey, header.nonce, 0, sealedBody)
      expect(await collect(decryptStream([header.toBytes(), sealedBody], { privateKey }))).to.deep.equal(plaintext)
      expect(FileCipher.open(parseHeader(header.toBytes()), { privateKey }).keyVerified).to.equal(false)
    })
  })

  describe('offsets', () => {
    it('any range decrypted by itself equals that range of the whole', () => {
      const cipher = FileCipher.create({ key })
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(1 << 20), fc.nat(200), (bytes, offset, from) => {
          const start = Math.min(from, bytes.length)
          expect(cipher.crypt(offset + start, bytes.subarray(start))).to.deep.equal(cipher.crypt(offset, bytes).subarray(start))
        }),
      )
    })

    it('however a file is cut into pieces, the stream decrypts to the same', async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(60), { maxLength: 12 }), fc.boolean(), async (bytes, sizes, shared) => {
          const file = await collect(encryptStream(pieces(bytes, sizes), shared ? { key } : { publicKey }))
          expect(file.length).to.equal(bytes.length + (shared ? 17 : 50))
          expect(await collect(decryptStream(pieces(file, sizes), { key, privateKey }))).to.deep.equal(bytes)
        }),
        { numRuns: 60 },
      )
    })

    it('an offset that is no position in a file is refused', () => {
      const cipher = FileCipher.create({ key })
      for (const offset of [-1, 1.5, Number.NaN, 2 ** 53]) expect(() => cipher.crypt(offset, plaintext)).to.throw(RangeError)
    })
  })

  describe('wrong keys', () => {
    it('given a file of ours and another shared key, throws WrongKey before any plaintext', async () => {
      const file = await collect(encryptStream([plaintext], { key }))
      const stream = decryptStream([file], { key: otherKey })
      expect(await failure(() => stream.next()))
        .to.be.instanceOf(WrongKey)
        .with.property('message')
        .that.contains('not the key')
    })

    it('given a file of ours and another private key, throws WrongKey', async () => {
      const file = await collect(encryptStream([plaintext], { publicKey }))
      expect(await failure(() => collect(decryptStream([file], { privateKey: otherKey }))))
        .to.be.instanceOf(WrongKey)
        .with.property('message')
        .that.contains('not the private key')
    })

    it('the right key of a file of ours is verified', () => {
      for (const recipient of [{ key }, { publicKey }]) {
        const { header } = FileCipher.create(recipient)
        expect(FileCipher.open(header, { key, privateKey }).keyVerified).to.equal(true)
      }
    })

    it('changing any bit of the nonce loses the mark or fails the check, so the check covers all of it', () => {
      const { header } = FileCipher.create({ key })
      for (let bit = 0; bit < 128; bit++) {
        const nonce = header.nonce.slice()
        nonce[bit >> 3]! ^= 1 << (bit & 7)
        const changed = { version: 1 as const, nonce }
        if (isMarked(changed)) expect(() => FileCipher.open(changed, { key })).to.throw(WrongKey)
        else expect(FileCipher.open(changed, { key }).keyVerified).to.equal(false)
      }
    })

    it('random nonces carry no mark', () => {
      for (let i = 0; i < 50; i++) expect(isMarked(parseHeader(client.newSymmetricHeader().toBytes()))).to.equal(false)
    })

    it('the key that the header needs must be given, and be a key', () => {
      const shared = FileCipher.create({ key }).header
      const sealed = FileCipher.create({ publicKey }).header
      expect(() => FileCipher.open(shared, { privateKey })).to.throw(WrongKey, 'give the 32-byte key')
      expect(() => FileCipher.open(sealed, { key })).to.throw(WrongKey, 'give the private key')
      expect(() => FileCipher.open(shared, { key: key.subarray(1) })).to.throw(WrongKey, 'must be 32 bytes, got 31')
      expect(() => FileCipher.open(sealed, { privateKey: new Uint8Array(32) })).to.throw(WrongKey, 'not a secp256k1 key')
      expect(() => FileCipher.create({ key: new Uint8Array(33) })).to.throw(WrongKey, 'must be 32 bytes')
    })
  })

  describe('public keys', () => {
    it('are accepted compressed, uncompressed and as x ‖ y', () => {
      const owner = createECDH('secp256k1')
      owner.setPrivateKey(privateKey)
      const uncompressed = new Uint8Array(owner.getPublicKey())
      for (const publicKey of [new Uint8Array(owner.getPublicKey(null, 'compressed')), uncompressed, uncompressed.subarray(1)]) {
        const cipher = FileCipher.create({ publicKey })
        expect(FileCipher.open(cipher.header, { privateKey }).crypt(0, cipher.crypt(0, plaintext))).to.deep.equal(plaintext)
      }
    })

    it('not on the curve are refused, also in a header', () => {
      const off = new Uint8Array(33).fill(255)
      expect(() => FileCipher.create({ publicKey: off })).to.throw(WrongKey, 'not a secp256k1 public key')
      expect(() => FileCipher.open({ version: 2, ephemeral: off, nonce: new Uint8Array(16) }, { privateKey })).to.throw(EncryptionHeaderError, 'not a point')
    })
  })

  describe('headers', () => {
    it('survive encoding', () => {
      for (const recipient of [{ key }, { publicKey }]) {
        const { header } = FileCipher.create(recipient)
        expect(parseHeader(encodeHeader(header))).to.deep.equal(header)
      }
    })

    it('that are absent or cut short say what is wrong', async () => {
      expect(() => parseHeader(new Uint8Array(0))).to.throw(EncryptionHeaderError, 'empty')
      expect(() => parseHeader(Uint8Array.of(7, 1, 2))).to.throw(EncryptionHeaderError, 'begins with byte 7')
      expect(() => parseHeader(new Uint8Array(16).fill(1))).to.throw(EncryptionHeaderError, 'version 1 has 17 bytes, here are 16')
      expect(() => parseHeader(new Uint8Array(49).fill(2))).to.throw(EncryptionHeaderError, 'version 2 has 50 bytes, here are 49')
      const cut = getBytes(aes256ctr.file).subarray(0, 12)
      expect(await failure(() => collect(decryptStream([cut], { key })))).to.be.instanceOf(EncryptionHeaderError)
      expect(await failure(() => collect(decryptStream([], { key })))).to.be.instanceOf(EncryptionHeaderError)
    })

    it('of an empty file decrypt to nothing', async () => {
      const file = await collect(encryptStream([], { key }))
      expect(file.length).to.equal(17)
      expect(await collect(decryptStream([file], { key }))).to.deep.equal(new Uint8Array(0))
    })
  })
})

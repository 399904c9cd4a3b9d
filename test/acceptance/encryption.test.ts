// Client-side encryption between the public client (1.2.8) and ours, over the network.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as client from '@0gfoundation/0g-ts-sdk'
import { getBytes, SigningKey } from 'ethers'
import type { DecryptionKeys, Recipient } from '../../protocol/storage/encryption.ts'
import { downloadBytes } from '../../sdk/storage/download.ts'
import { upload } from '../../sdk/storage/upload.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { patternBytes } from '../support/patterns.ts'
import { quietConsole, within } from './deadline.ts'

const OPTIONS = { tags: '0x', finalityRequired: true, taskSize: 1, expectedReplica: 1, skipTx: false, fee: 0n }
const key = new Uint8Array(32).fill(7)
const privateKey = new Uint8Array(32).fill(8)
const publicKey = getBytes(new SigningKey(privateKey).compressedPublicKey)
const wrong: DecryptionKeys = { key: new Uint8Array(32).fill(1), privateKey: new Uint8Array(32).fill(2) }

/** The two ways to encrypt, as each side calls them. */
const WAYS = [
  { name: 'a shared key', headerSize: 17, ours: { key } as Recipient, theirs: { type: 'aes256', key }, read: { symmetricKey: key } },
  { name: 'a public key', headerSize: 50, ours: { publicKey } as Recipient, theirs: { type: 'ecies', recipientPubKey: publicKey }, read: { privateKey } },
] as const
/** Around the sizes at which header and plaintext share a segment, or do not. */
const SIZES = [1, 239, 240, 262_127, 262_144, 600_001]

describe('client-side encryption of the public client', function () {
  this.timeout(180_000)
  let network: Network
  let folder: string
  quietConsole()
  before(async () => {
    network = await startNetwork({ storage: { nodes: 1, indexer: true, kv: false, miner: false } })
    folder = await mkdtemp(join(tmpdir(), 'perigee-encryption-'))
  })
  after(async () => {
    await network.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const indexer = () => new client.Indexer(network.indexer)

  /** Uploads with the public client. Returns the root. */
  async function theirUpload(plaintext: Uint8Array, encryption: object): Promise<string> {
    const path = join(folder, 'plaintext')
    await writeFile(path, plaintext)
    const file = await client.ZgFile.fromFilePath(path)
    const [result, error] = await within(
      60,
      'the upload',
      indexer().upload(file, network.rpcUrl, network.wallet(6) as never, { ...OPTIONS, encryption } as never),
    )
    await file.close()
    assert.equal(error, null)
    return (result as { rootHash: string }).rootHash
  }

  async function theirDownload(root: string, decryption: object): Promise<Uint8Array> {
    const [blob, error] = await within(60, 'the download', indexer().downloadToBlob(root, { decryption } as never))
    assert.equal(error, null)
    return new Uint8Array(await blob.arrayBuffer())
  }

  for (const { name, headerSize, ours, theirs, read } of WAYS) {
    describe(`to ${name}`, () => {
      it('what it encrypts ours decrypts, at every size', async () => {
        for (const size of SIZES) {
          const plaintext = patternBytes('p2', size)
          const {
            bytes,
            size: stored,
            keyVerified,
          } = await downloadBytes(await theirUpload(plaintext, theirs), {
            indexer: network.indexer,
            decryption: { key, privateKey },
          })
          assert.equal(stored, size + headerSize)
          assert.equal(keyVerified, false)
          assert.ok(Buffer.from(bytes).equals(plaintext), `${size} bytes`)
        }
      })

      it('what ours encrypts it decrypts, at every size', async () => {
        for (const size of SIZES) {
          const plaintext = patternBytes('p2', size)
          const { root } = await upload(plaintext, { signer: network.wallet(6), indexer: network.indexer, encryption: ours })
          assert.equal((await downloadBytes(root, { indexer: network.indexer, decryption: { key, privateKey } })).keyVerified, true)
          assert.ok(Buffer.from(await theirDownload(root, read)).equals(plaintext), `${size} bytes`)
        }
      })

      it('with a wrong key ours refuses what ours encrypted, where the public client gives garbage', async () => {
        const plaintext = patternBytes('p2', 1000)
        const { root } = await upload(plaintext, { signer: network.wallet(6), indexer: network.indexer, encryption: ours })
        await assert.rejects(downloadBytes(root, { indexer: network.indexer, decryption: wrong }), /not the (private )?key/)
        const garbage = await theirDownload(root, { symmetricKey: wrong.key, privateKey: wrong.privateKey })
        assert.equal(garbage.length, plaintext.length)
        assert.ok(!Buffer.from(garbage).equals(plaintext))
      })
    })
  }

  it('a file that is not encrypted is refused when a key is given', async () => {
    const { root } = await upload(patternBytes('p2', 500).fill(9, 0, 1), { signer: network.wallet(6), indexer: network.indexer })
    await assert.rejects(downloadBytes(root, { indexer: network.indexer, decryption: { key } }), /not encrypted|not an encrypted file/)
  })
})

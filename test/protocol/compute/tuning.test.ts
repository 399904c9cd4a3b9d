import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { getBytes, hexlify, keccak256, SigningKey, Wallet } from 'ethers'
import fc from 'fast-check'
import {
  CHUNK_LENGTH,
  decryptModelFile,
  encryptedLength,
  HEADER_LENGTH,
  ModelFileEncryption,
  ModelFileError,
} from '../../../protocol/compute/tuning-model-file.ts'
import { parseTrainingParams, TrainingParamsError } from '../../../protocol/compute/tuning-params.ts'
import { decryptModelKey, ENCRYPTED_SECRET_LENGTH, encryptModelKey } from '../../../protocol/compute/tuning-secret.ts'
import { settlementDigest, tuningDomain } from '../../../protocol/compute/tuning-settlement.ts'
import {
  cancelDigest,
  downloadDigest,
  requireFresh,
  requireSigned,
  SIGNATURE_AGE,
  SIGNATURE_LEAD,
  TuningSignatureError,
  taskDigest,
  timeOfNonce,
  uploadDigest,
} from '../../../protocol/compute/tuning-signatures.ts'
import { NewTask, taskFee } from '../../../protocol/compute/tuning-task.ts'
import vectors from '../../vectors/compute-vectors.json' with { type: 'json' }

// Not exported by the package: the very functions that its decryptModel and its requests use.
const sdkFile = fileURLToPath(new URL('../../../node_modules/@0gfoundation/0g-compute-ts-sdk/lib.commonjs/common/utils/encrypt.js', import.meta.url))
const sdk = createRequire(import.meta.url)(sdkFile) as {
  eciesDecrypt(signer: Wallet, secret: string): Promise<string>
  aesGCMDecryptToFile(key: string, encrypted: string, decrypted: string, signer: string): Promise<void>
  signRequest(signer: Wallet, user: string, nonce: bigint, datasetHash: string): Promise<string>
  signTaskID(signer: Wallet, taskId: string): Promise<string>
  signDatasetUpload(signer: Wallet, user: string, timestamp: number): Promise<string>
}

const { keys, task, upload, cancelLeadingZero, modelFile } = vectors
const user = new Wallet(keys.user)
const tee = new SigningKey(keys.tee)

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return new Uint8Array(Buffer.concat(pieces))
}

async function encrypt(
  model: Iterable<Uint8Array>,
  { key = getBytes(`0x${modelFile.aesKey}`), iv = new Uint8Array(12) as Uint8Array, signer = tee } = {},
): Promise<Uint8Array> {
  const encryption = new ModelFileEncryption({ key, iv })
  const body = await collect(encryption.body(model))
  return Buffer.concat([encryption.header(signer), body])
}

async function failure(attempt: () => unknown): Promise<Error> {
  try {
    await attempt()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

describe('what users of fine-tuning sign', () => {
  it('given the vectors of the SDK, then every signature is by its user, and her key comes with it', () => {
    const taskBy = requireSigned(
      taskDigest({ user: keys.userAddress, nonce: BigInt(task.nonce), datasetHash: task.datasetHash }),
      task.signature,
      keys.userAddress,
    )
    expect(taskBy).to.deep.equal({ address: keys.userAddress, publicKey: user.signingKey.publicKey })
    requireSigned(uploadDigest(keys.userAddress.toLowerCase(), upload.timestamp), upload.signature, keys.userAddress)
  })

  it('given a digest with a leading zero byte, which the SDK signs without it, then the signature counts', () => {
    const { taskId, digest, signature, expected } = cancelLeadingZero
    expect(cancelDigest(taskId)).to.equal(digest)
    expect(digest.startsWith('0x00')).to.equal(true)
    expect(requireSigned(digest, signature, expected).address).to.equal(expected)
  })

  it('given what the SDK signs for any task, time and dataset, then it is accepted for exactly that', async () => {
    const uuid = fc.uuid()
    await fc.assert(
      fc.asyncProperty(uuid, fc.integer({ min: 1, max: 2e9 }), fc.bigInt({ min: 1n, max: 2n ** 60n }), async (taskId, timestamp, nonce) => {
        requireSigned(cancelDigest(taskId), await sdk.signTaskID(user, taskId), user.address)
        requireSigned(uploadDigest(user.address, timestamp), await sdk.signDatasetUpload(user, user.address, timestamp), user.address)
        const signature = await sdk.signRequest(user, user.address, nonce, task.datasetHash)
        requireSigned(taskDigest({ user: user.address, nonce, datasetHash: task.datasetHash }), signature, user.address)
        const other = taskDigest({ user: user.address, nonce: nonce + 1n, datasetHash: task.datasetHash })
        expect(() => requireSigned(other, signature, user.address)).to.throw(TuningSignatureError)
      }),
      { numRuns: 30, seed: 7 },
    )
  })

  it('given a signature by someone else, for another purpose, or malformed, then it is refused', async () => {
    const { taskId, digest } = cancelLeadingZero
    const stranger = await sdk.signTaskID(new Wallet(keys.tee), taskId)
    const download = await user.signMessage(getBytes(downloadDigest(taskId, 5)))
    for (const signature of [stranger, download, '0x', 'nonsense', cancelLeadingZero.signature.slice(0, -2)])
      expect(() => requireSigned(digest, signature, user.address)).to.throw(TuningSignatureError)
    expect(() => cancelDigest('not-a-uuid')).to.throw(TuningSignatureError, 'UUID')
    expect(() => downloadDigest(`${taskId}0`, 5)).to.throw(TuningSignatureError, 'UUID')
  })

  it('given a time in a signature, then it counts for five minutes, and from a minute before', () => {
    const now = new Date(1_700_000_000_000)
    const seconds = now.getTime() / 1000
    for (const fine of [seconds, seconds - SIGNATURE_AGE, seconds + SIGNATURE_LEAD]) requireFresh(fine, now)
    expect(() => requireFresh(seconds - SIGNATURE_AGE - 1, now)).to.throw(TuningSignatureError, 'ago')
    expect(() => requireFresh(seconds + SIGNATURE_LEAD + 1, now)).to.throw(TuningSignatureError, 'future')
    expect(timeOfNonce(BigInt(1_700_000_000_123 * 10_000 + 40))).to.equal(1_700_000_000.123)
  })
})

describe('the key of a model', () => {
  it('given a key encrypted to a user, then it has 129 bytes and the SDK decrypts it', async () => {
    const key = new Uint8Array(32).fill(9)
    const secret = encryptModelKey(user.signingKey.publicKey, key)
    expect(secret.length).to.equal(ENCRYPTED_SECRET_LENGTH)
    expect(secret[0]).to.equal(4)
    expect(await sdk.eciesDecrypt(user, hexlify(secret))).to.equal(Buffer.from(key).toString('hex'))
    expect(hexlify(decryptModelKey(user.privateKey, secret))).to.equal(hexlify(key))
    expect(hexlify(encryptModelKey(user.signingKey.compressedPublicKey, key))).to.not.equal(hexlify(secret))
  })

  it('given another user or a damaged secret, then nothing is decrypted', async () => {
    const secret = encryptModelKey(user.signingKey.publicKey, new Uint8Array(32))
    await failure(() => decryptModelKey(keys.tee, secret))
    const damaged = secret.slice()
    damaged[128]! ^= 1
    await failure(() => decryptModelKey(user.privateKey, damaged))
    expect((await failure(() => decryptModelKey(user.privateKey, secret.slice(1)))).message).to.include('129 bytes')
    expect((await failure(() => encryptModelKey(user.signingKey.publicKey, new Uint8Array(31)))).message).to.include('32 bytes')
  })
})

describe('the file of a model', function () {
  this.timeout(60_000)

  it('given the vector, then it is made byte for byte and read again', async () => {
    const iv = getBytes(`0x${modelFile.fileHex.slice(130, 154)}`)
    const file = await encrypt([new TextEncoder().encode(modelFile.plain)], { iv })
    expect(Buffer.from(file).toString('hex')).to.equal(modelFile.fileHex)
    expect(keccak256(file)).to.equal(modelFile.keccak)
    expect(file.length).to.equal(encryptedLength(modelFile.plain.length))
    const plain = await collect(decryptModelFile([file], { key: getBytes(`0x${modelFile.aesKey}`), signer: keys.teeAddress }))
    expect(new TextDecoder().decode(plain)).to.equal(modelFile.plain)
  })

  it('given a model of several chunks and an IV that overflows, when the SDK decrypts it, then it is whole', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'perigee-model-'))
    try {
      const model = Buffer.alloc(CHUNK_LENGTH + 5)
      for (let i = 0; i < model.length; i += 4093) model[i] = i & 255
      model[CHUNK_LENGTH] = 77
      const iv = new Uint8Array(12).fill(255)
      const odd = 1_000_003
      const pieces = Array.from({ length: Math.ceil(model.length / odd) }, (_, i) => model.subarray(i * odd, (i + 1) * odd))
      const file = await encrypt(pieces, { iv })
      expect(file.length).to.equal(encryptedLength(model.length))
      await writeFile(join(folder, 'encrypted'), file)
      await sdk.aesGCMDecryptToFile(modelFile.aesKey, join(folder, 'encrypted'), join(folder, 'plain'), keys.teeAddress)
      expect(model.equals(await readFile(join(folder, 'plain')))).to.equal(true)
      const read = await collect(decryptModelFile(cut(file, 777_777), { key: getBytes(`0x${modelFile.aesKey}`), signer: keys.teeAddress }))
      expect(model.equals(read)).to.equal(true)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('given an IV in a Buffer, which shares its memory with what is sliced of it, then the header has it as it was', async () => {
    const iv = Buffer.alloc(12, 200)
    const file = await encrypt([Buffer.from('weights')], { iv })
    expect(Buffer.from(file.subarray(65, 77)).equals(Buffer.alloc(12, 200))).to.equal(true)
    expect(iv.equals(Buffer.alloc(12, 200))).to.equal(true)
  })

  it('given any one byte changed, cut off or added, or another key or signer, then it is refused', async () => {
    const key = getBytes(`0x${modelFile.aesKey}`)
    const file = await encrypt([Buffer.from('some weights')], { iv: new Uint8Array(12).fill(3) })
    const read = (bytes: Uint8Array, options = { key, signer: keys.teeAddress }) => failure(() => collect(decryptModelFile([bytes], options)))
    for (let i = 0; i < file.length; i++) {
      const damaged = Uint8Array.from(file)
      damaged[i]! ^= 1
      expect(await read(damaged), `byte ${i}`).to.be.instanceOf(ModelFileError)
    }
    for (const length of [0, 10, HEADER_LENGTH, HEADER_LENGTH + 3, file.length - 1])
      expect(await read(file.subarray(0, length))).to.be.instanceOf(ModelFileError)
    expect(await read(Buffer.concat([file, Buffer.alloc(1)]))).to.be.instanceOf(ModelFileError)
    expect(await read(file, { key: new Uint8Array(32), signer: keys.teeAddress })).to.be.instanceOf(ModelFileError)
    expect((await read(file, { key, signer: user.address })).message).to.include(keys.teeAddress)
  })

  it('given an empty model, or a header asked for too early, then it is refused', async () => {
    expect(await failure(() => encrypt([]))).to.be.instanceOf(ModelFileError)
    expect(await failure(() => new ModelFileEncryption({ key: new Uint8Array(32), iv: new Uint8Array(12) }).header(tee))).to.be.instanceOf(ModelFileError)
    expect(await failure(() => new ModelFileEncryption({ key: new Uint8Array(32), iv: new Uint8Array(11) }))).to.be.instanceOf(RangeError)
  })
})

function* cut(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('training parameters', () => {
  const good = { neftune_noise_alpha: 5, num_train_epochs: 3, per_device_train_batch_size: 2, learning_rate: 0.0002, max_steps: -1 }
  const text = (changes: object) => JSON.stringify({ ...good, ...changes })

  it('given what the documentation of the SDK shows, then they are read', () => {
    expect(parseTrainingParams(JSON.stringify(good, undefined, 2))).to.deep.equal(good)
    expect(parseTrainingParams(text({ max_steps: 30, neftune_noise_alpha: 0 }))).to.deep.include({ max_steps: 30, neftune_noise_alpha: 0 })
  })

  it('given a value out of range, a key too many or too few, then it is named', () => {
    const wrong: [object, string][] = [
      [{ neftune_noise_alpha: 10.5 }, 'neftune_noise_alpha'],
      [{ neftune_noise_alpha: -1 }, 'neftune_noise_alpha'],
      [{ num_train_epochs: 0 }, 'num_train_epochs'],
      [{ num_train_epochs: 11 }, 'num_train_epochs'],
      [{ num_train_epochs: 1.5 }, 'num_train_epochs'],
      [{ per_device_train_batch_size: 5 }, 'per_device_train_batch_size'],
      [{ learning_rate: 0.002 }, 'learning_rate'],
      [{ learning_rate: 0 }, 'learning_rate'],
      [{ learning_rate: '0.0002' }, 'learning_rate'],
      [{ max_steps: 0 }, 'max_steps'],
      [{ max_steps: -2 }, 'max_steps'],
      [{ max_steps: undefined }, 'max_steps'],
      [{ output_dir: '/etc' }, 'output_dir'],
    ]
    for (const [changes, named] of wrong) expect(() => parseTrainingParams(text(changes)), named).to.throw(TrainingParamsError, named)
  })

  it('given an exponent, no JSON, or a text without end, then it is refused with the reason', () => {
    expect(() => parseTrainingParams(text({}).replace('0.0002', '2e-4'))).to.throw(TrainingParamsError, 'write it as a decimal')
    expect(() => parseTrainingParams('{')).to.throw(TrainingParamsError, 'not JSON')
    expect(() => parseTrainingParams('[]')).to.throw(TrainingParamsError)
    expect(() => parseTrainingParams(`${text({})}${' '.repeat(5000)}`)).to.throw(TrainingParamsError, 'characters')
  })
})

describe('a fine-tuning task', () => {
  it('given the terms of a task, then its fee is tokens times price times epochs times coefficient, and the storage', () => {
    expect(taskFee({ tokens: 1000, epochs: 3, pricePerToken: 10n ** 12n, coefficient: 2, storageFee: 7n })).to.equal(6_000n * 10n ** 12n + 7n)
  })

  it('given the body that the SDK sends, then it is read; with a nonce or hash of another form it is not', () => {
    const body = {
      userAddress: keys.userAddress,
      datasetHash: task.datasetHash,
      trainingParams: '{}',
      preTrainedModelHash: task.datasetHash,
      fee: '0',
      nonce: task.nonce,
      signature: task.signature,
      wait: false,
    }
    expect(NewTask.parse(body)).to.deep.include({ nonce: BigInt(task.nonce), datasetHash: task.datasetHash })
    for (const changes of [{ nonce: '-1' }, { nonce: '1e5' }, { datasetHash: '0x12' }, { userAddress: 'me' }, { preTrainedModelHash: 'Qwen' }])
      expect(NewTask.safeParse({ ...body, ...changes }).success, JSON.stringify(changes)).to.equal(false)
  })

  it('given a settlement, then its digest is bound to chain, contract and every field', () => {
    const settlement = {
      provider: keys.providerAddress,
      user: keys.userAddress,
      id: '7f0c6f2e-0000-4000-8000-000000000001',
      modelRootHash: task.datasetHash,
      fee: 7n,
      nonce: 5n,
      encryptedSecret: '0x010203',
    }
    const domain = tuningDomain(31337, keys.providerAddress)
    const digest = settlementDigest(domain, settlement)
    const changes = [
      { provider: keys.teeAddress },
      { user: keys.teeAddress },
      { id: 'x' },
      { modelRootHash: task.digest },
      { fee: 8n },
      { nonce: 6n },
      { encryptedSecret: '0x' },
    ]
    for (const change of changes) expect(settlementDigest(domain, { ...settlement, ...change })).to.not.equal(digest)
    for (const other of [tuningDomain(1, keys.providerAddress), tuningDomain(31337, keys.teeAddress)])
      expect(settlementDigest(other, settlement)).to.not.equal(digest)
  })
})

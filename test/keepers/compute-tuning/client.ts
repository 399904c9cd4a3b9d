import { expect } from 'chai'
import { getBytes, hexlify, toBeArray, type Wallet } from 'ethers'
import { decryptModelFile } from '../../../protocol/compute/tuning-model-file.ts'
import { decryptModelKey } from '../../../protocol/compute/tuning-secret.ts'
import { cancelDigest, downloadDigest, taskDigest, uploadDigest } from '../../../protocol/compute/tuning-signatures.ts'
import type { IFineTuningServing } from '../../../typechain-types/index.ts'
import { PARAMS } from './sample-dataset.ts'

const MOCK_MODEL = '0xcb42b5ca9e998c82dd239ef2d20d22a4ae16b3dc0ce0a855c93b52c7c2bab6dc'

export interface Answer {
  status: number
  headers: Headers
  body: any
}

/** As the public SDK signs: leading zero bytes of a digest are dropped. */
export const sign = (wallet: Wallet, digest: string): Promise<string> => wallet.signMessage(toBeArray(digest))

export const now = (): number => Math.floor(Date.now() / 1000)

/** Waits until `holds` gives something other than undefined, false, null or 0. */
export async function eventually<T>(what: string, holds: () => Promise<T | undefined | false | null>, withinMs = 60_000): Promise<T> {
  for (const deadline = Date.now() + withinMs; Date.now() < deadline; ) {
    const value = await holds()
    if (value) return value
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${what}: not within ${withinMs / 1000} s`)
}

/** A user of a tuning keeper, by plain HTTP. */
export class TuningClient {
  readonly wallet: Wallet
  readonly url: string

  constructor(url: string, wallet: Wallet) {
    this.url = url
    this.wallet = wallet
  }

  async request(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, init)
    const text = await response.text()
    const json = response.headers.get('content-type')?.includes('json')
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : text }
  }

  post(path: string, body: unknown): Promise<Answer> {
    return this.request(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  }

  async upload(dataset: string, { name = 'dataset.jsonl', timestamp = now(), signer = this.wallet, path = this.wallet.address } = {}): Promise<Answer> {
    const form = new FormData()
    form.append('file', new Blob([dataset]), name)
    form.append('signature', await sign(signer, uploadDigest(path, timestamp)))
    form.append('timestamp', String(timestamp))
    return this.request(`/v1/user/${path}/dataset`, { method: 'POST', body: form })
  }

  async create(datasetHash: string, changes: Record<string, unknown> = {}): Promise<Answer> {
    const user = this.wallet.address
    const nonce = (changes.nonce as string | undefined) ?? String(BigInt(Date.now()) * 10_000n + 40n)
    const signature = await sign(this.wallet, taskDigest({ user, nonce: BigInt(nonce), datasetHash }))
    const task = {
      userAddress: user,
      datasetHash,
      trainingParams: JSON.stringify(PARAMS),
      preTrainedModelHash: MOCK_MODEL,
      fee: '0',
      nonce,
      signature,
      wait: false,
    }
    return this.post(`/v1/user/${user}/task`, { ...task, ...changes })
  }

  /** Uploads a dataset and creates a task of it; gives its id. */
  async begin(dataset: string, changes: Record<string, unknown> = {}): Promise<string> {
    const uploaded = await this.upload(dataset)
    expect(uploaded.body).to.have.property('datasetHash')
    const created = await this.create(uploaded.body.datasetHash, changes)
    expect(created.body, JSON.stringify(created.body)).to.have.property('id')
    return created.body.id
  }

  async task(id: string): Promise<any> {
    return (await this.request(`/v1/user/${this.wallet.address}/task/${id}`)).body
  }

  async log(id: string): Promise<string> {
    return (await this.request(`/v1/user/${this.wallet.address}/task/${id}/log`)).body
  }

  async cancel(id: string, signer = this.wallet): Promise<Answer> {
    return this.post(`/v1/user/${this.wallet.address}/task/${id}/cancel`, { signature: await sign(signer, cancelDigest(id)) })
  }

  async download(
    id: string,
    { range, timestamp = now(), signer = this.wallet }: { range?: string; timestamp?: number; signer?: Wallet } = {},
  ): Promise<Response> {
    const body = JSON.stringify({ signature: await sign(signer, downloadDigest(id, timestamp)), timestamp })
    const headers = { 'content-type': 'application/json', ...(range && { range }) }
    return fetch(`${this.url}/v1/user/${this.wallet.address}/task/${id}/lora`, { method: 'POST', headers, body })
  }

  /** Waits until a task is in one of these states; a failed task is an error unless asked for. */
  async reaches(id: string, ...states: string[]): Promise<any> {
    for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
      const task = await this.task(id)
      if (states.includes(task.progress)) return task
      if (task.progress === 'Failed') throw new Error(`task ${id} failed: ${task.failure}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`task ${id} is not ${states.join(' or ')} but ${(await this.task(id)).progress}:\n${await this.log(id)}`)
  }

  /** The model, as the user gets it from the delivered file and the key on chain. */
  async open(file: Uint8Array, serving: IFineTuningServing, provider: string, id: string): Promise<Uint8Array> {
    const { encryptedSecret } = await serving.getDeliverable(this.wallet.address, provider, id)
    const { signer } = await serving.termsOf(this.wallet.address, provider, id)
    const key = decryptModelKey(hexlify(getBytes(this.wallet.privateKey)), getBytes(encryptedSecret))
    const pieces: Uint8Array[] = []
    for await (const piece of decryptModelFile([file], { key, signer })) pieces.push(piece)
    return Buffer.concat(pieces)
  }
}

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { receiptSchema, receiptToJson } from '../../protocol/compute/receipt-json.ts'
import { PerigeeError } from '../errors.ts'
import { type HttpOptions, http, readError } from '../http.ts'
import { type Answer, Usage } from './ask.ts'

const Hash = z.string().regex(/^0x[0-9a-f]{64}$/)
const Signature = z.string().regex(/^0x[0-9a-f]{130}$/i)

/** What a provider keeps of an answer. Once it is in a batch, also the proof that it is. */
const SignedReceiptJson = z.object({
  receipt: receiptSchema,
  signature: Signature,
  batch: z.object({ nonce: z.coerce.bigint(), requestsHash: Hash, items: z.array(Hash), signature: Signature, proof: z.array(Hash) }).optional(),
})
export type SignedReceipt = z.output<typeof SignedReceiptJson>

/** What is kept of an answer to verify it later, or to dispute it: hashes instead of bytes. */
const StoredAnswerJson = z.object({
  id: z.string(),
  provider: z.string(),
  url: z.string(),
  model: z.string(),
  user: z.string(),
  requestHash: Hash,
  responseHash: Hash,
  usage: Usage.optional(),
  signed: SignedReceiptJson,
})
export type StoredAnswer = z.output<typeof StoredAnswerJson>

/** Asks a provider for the receipt of an answer. @throws PerigeeError NOT_FOUND, REMOTE, or VERIFICATION_FAILED when what it gives is none. */
export async function fetchReceipt(url: string, id: string, options: Pick<HttpOptions, 'dispatcher' | 'signal'> = {}): Promise<SignedReceipt> {
  const response = await http(`${url}/v1/receipt/${encodeURIComponent(id)}`, options)
  if (response.statusCode === 404) throw new PerigeeError('NOT_FOUND', `${url} has no receipt for ${id}: ${await readError(response)}`)
  if (response.statusCode !== 200) throw new PerigeeError('REMOTE', `${url} gives no receipt for ${id}: ${await readError(response)}`)
  const parsed = SignedReceiptJson.safeParse(await response.body.json().catch(() => undefined))
  if (parsed.success) return parsed.data
  throw new PerigeeError('VERIFICATION_FAILED', `${url} gives something that is no receipt for ${id}`, {
    details: parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
  })
}

/** Where answers' receipts go when no folder is given. */
export function defaultAnswerFolder(): string {
  return join(homedir(), '.perigee', 'answers')
}

/** Stores what proves an answer, and returns the path. */
export async function storeAnswer(folder: string, answer: Answer, signed: SignedReceipt): Promise<string> {
  const { requestBody: _, responseBody: __, content: ___, ...facts } = answer
  // The id is the provider's choice.
  const path = join(folder, `${encodeURIComponent(answer.id)}.json`)
  const content = { ...facts, signed: { ...signed, receipt: receiptToJson(signed.receipt) } }
  await mkdir(folder, { recursive: true })
  const temporary = `${path}.${process.pid}`
  await writeFile(temporary, `${JSON.stringify(content, (_, value) => (typeof value === 'bigint' ? value.toString() : value), 2)}\n`)
  await rename(temporary, path)
  return path
}

/** Reads what `storeAnswer` wrote. @throws PerigeeError NOT_FOUND, USAGE */
export async function readAnswer(path: string): Promise<StoredAnswer> {
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new PerigeeError('NOT_FOUND', `there is no stored answer at ${path}`, { cause })
  })
  try {
    return StoredAnswerJson.parse(JSON.parse(text))
  } catch (cause) {
    throw new PerigeeError('USAGE', `${path} is not a stored answer`, { cause })
  }
}

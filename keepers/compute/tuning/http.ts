import { createReadStream } from 'node:fs'
import multipart from '@fastify/multipart'
import { getAddress, isAddress } from 'ethers'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { parseTrainingParams, TrainingParamsError } from '../../../protocol/compute/tuning-params.ts'
import {
  cancelDigest,
  downloadDigest,
  requireFresh,
  requireSigned,
  TuningSignatureError,
  taskDigest,
  timeOfNonce,
  uploadDigest,
} from '../../../protocol/compute/tuning-signatures.ts'
import { NewTask } from '../../../protocol/compute/tuning-task.ts'
import { DiskFull } from '../../runtime/files.ts'
import { byteRange } from './byte-range.ts'
import { modelUsage } from './model-usage.ts'
import type { OfferedModel } from './models.ts'
import type { Quotes } from './quotes.ts'
import type { Serving } from './serving.ts'
import type { TaskFolders } from './task-folder.ts'
import { CANCELLABLE, type Refusal, type Task, type Tasks } from './tasks.ts'
import { type Incoming, type Uploads, UploadTooLarge } from './uploads.ts'

export interface HttpContext {
  tasks: Tasks
  uploads: Uploads
  folders: TaskFolders
  models: readonly OfferedModel[]
  serving: Serving
  quotes: Quotes
  maxDatasetBytes: number
  maxPending: number
  /** A task was taken on. */
  begin: (task: Task) => Promise<void>
  /** A task was called off. */
  abandon: (taskId: string) => Promise<void>
}

/** What the client did wrong, or what keeps us from serving her. */
export class HttpError extends Error {
  readonly statusCode: number
  readonly retryAfter: number | undefined

  constructor(statusCode: number, message: string, retryAfter?: number) {
    super(message)
    this.statusCode = statusCode
    this.retryAfter = retryAfter
  }
}

/** What browsers may read of an answer. */
export const EXPOSED_HEADERS = ['retry-after', 'content-disposition']

/** Uploads that are received at the same time. */
const UPLOADS_AT_ONCE = 4
const FIELD_LIMITS = { files: 1, fields: 4, parts: 5, fieldSize: 4096, headerPairs: 20 }

const REFUSALS: Record<Refusal, [number, string]> = {
  unfinished: [409, 'you have an unfinished task with this provider: wait for it, acknowledge it, or cancel it'],
  'nonce-used': [409, 'the nonce of this task is not above that of your last one: sign the task anew'],
  'too-many-cancelled': [429, 'you have cancelled too many trainings today: try again tomorrow'],
  'queue-full': [503, 'too many tasks are waiting: try again later'],
}

const Timed = z.object({ signature: z.string(), timestamp: z.coerce.number().int().min(0) })
const Signed = z.object({ signature: z.string() })

/** The HTTP API of the public SDK's fine-tuning part. Compute §5.1. */
export function tuningRoutes(context: HttpContext) {
  const { tasks, uploads, folders, models, serving, quotes } = context

  return async (app: FastifyInstance): Promise<void> => {
    await app.register(multipart, { limits: { ...FIELD_LIMITS, fileSize: context.maxDatasetBytes + 1 }, throwFileSizeLimit: false })
    let receiving = 0

    app.get<{ Querystring: { layout?: string } }>('/v1/quote', async ({ query: { layout = 'sdk' } }) => {
      if (layout !== 'sdk' && layout !== 'registry') throw new HttpError(400, `there is no layout ${layout}: ask for sdk or registry`)
      return quotes.document(layout)
    })

    app.get('/v1/task/pending', async (_request, reply) => reply.type('text/plain').send(String(await tasks.pending())))
    app.get('/v1/model', async () => models.map(describe))
    app.get<{ Params: { name: string } }>('/v1/model/:name', async ({ params }) => describe(modelNamed(models, params.name)))
    app.get<{ Params: { name: string } }>('/v1/model/desc/:name', async ({ params }, reply) => {
      const model = modelNamed(models, params.name)
      return reply.type('application/zip').send(modelUsage(model, await serving.pricePerToken()))
    })

    app.post<{ Params: { user: string } }>('/v1/user/:user/task', async ({ params, body }, reply) => {
      const user = addressOf(params.user)
      const request = parse(NewTask, body)
      if (addressOf(request.userAddress) !== user) throw new HttpError(400, `the task is ${request.userAddress}'s, the path says ${user}`)
      const { nonce, datasetHash, signature, trainingParams } = request
      const { publicKey } = requireSigned(taskDigest({ user, nonce, datasetHash }), signature, user)
      requireFresh(timeOfNonce(nonce), new Date())
      parseTrainingParams(trainingParams)
      const model = models.find(({ hash }) => hash === request.preTrainedModelHash.toLowerCase())
      if (!model)
        throw new HttpError(400, `this provider does not tune the model ${request.preTrainedModelHash}: it offers ${models.map(({ name }) => name).join(', ')}`)
      await requireAccount(serving, user)
      const created = await tasks.create(
        { user, nonce: String(nonce), dataset_hash: datasetHash, model_hash: model.hash, model: model.name, params: trainingParams, public_key: publicKey },
        context.maxPending,
      )
      if (typeof created === 'string') throw new HttpError(...REFUSALS[created], ...(created === 'queue-full' ? [60] : []))
      await context.begin(created)
      return reply.code(201).send({ id: created.id })
    })

    app.get<{ Params: { user: string }; Querystring: { latest?: string } }>('/v1/user/:user/task', async ({ params, query }) =>
      (await tasks.of(addressOf(params.user), query.latest === 'true' ? 1 : undefined)).map(shown),
    )
    app.get<{ Params: { user: string; id: string } }>('/v1/user/:user/task/:id', async ({ params }) => shown(await taskOf(tasks, params)))
    app.get<{ Params: { user: string; id: string } }>('/v1/user/:user/task/:id/log', async ({ params }, reply) => {
      const lines = await tasks.logOf((await taskOf(tasks, params)).id)
      return reply.type('text/plain; charset=utf-8').send(lines.map(({ at, line }) => `${at.toISOString()} ${line}\n`).join(''))
    })

    app.post<{ Params: { user: string; id: string } }>('/v1/user/:user/task/:id/cancel', async ({ params, body }, reply) => {
      const task = await taskOf(tasks, params)
      requireSigned(cancelDigest(task.id), parse(Signed, body).signature, task.user)
      const text = (message: string) => reply.type('text/plain').send(message)
      if (task.state === 'Failed') return text(`task ${task.id} is over: ${task.failure}`)
      if (!CANCELLABLE.includes(task.state) || !(await tasks.cancel(task.id)))
        throw new HttpError(409, `task ${task.id} is ${task.state}: it can no longer be cancelled`)
      await context.abandon(task.id)
      return text(`task ${task.id} is cancelled`)
    })

    app.post<{ Params: { user: string } }>('/v1/user/:user/dataset', async (request, reply) => {
      const user = addressOf(request.params.user)
      if (Number(request.headers['content-length'] ?? 0) > context.maxDatasetBytes + 65_536) throw new UploadTooLarge(context.maxDatasetBytes)
      await requireAccount(serving, user)
      if (receiving >= UPLOADS_AT_ONCE) throw new HttpError(503, 'too many datasets are being uploaded: try again in a moment', 5)
      receiving++
      let incoming: Incoming | undefined
      try {
        const fields: Record<string, unknown> = {}
        for await (const part of request.parts()) {
          if (part.type === 'field') fields[part.fieldname] = part.value
          else if (part.fieldname !== 'file' || incoming) part.file.resume()
          else {
            if (!/\.jsonl?$/i.test(part.filename)) throw new HttpError(400, `${part.filename} is neither .jsonl nor .json`)
            incoming = await uploads.receive(part.file)
          }
        }
        const { signature, timestamp } = parse(Timed, fields)
        requireFresh(timestamp, new Date())
        requireSigned(uploadDigest(user, timestamp), signature, user)
        if (!incoming || incoming.size === 0) throw new HttpError(400, 'the upload has no dataset: send it as the field "file"')
        if (!(await uploads.keep(user, incoming)))
          throw new HttpError(507, 'there is no room for uploads: put the dataset into the storage network and name its root', 3600)
        return await reply.send({ datasetHash: incoming.hash, message: `${incoming.size} bytes received` })
      } finally {
        receiving--
        if (incoming) await uploads.discard(incoming)
      }
    })

    app.post<{ Params: { user: string; id: string } }>('/v1/user/:user/task/:id/lora', async ({ params, body, headers }, reply) => {
      const task = await taskOf(tasks, params)
      const { signature, timestamp } = parse(Timed, body)
      requireFresh(timestamp, new Date())
      requireSigned(downloadDigest(task.id, timestamp), signature, task.user)
      if (task.delivered_block === null) throw new HttpError(404, `the model of task ${task.id} is not delivered: the task is ${task.state}`)
      if (task.removed)
        throw new HttpError(
          410,
          `the file of task ${task.id} is no longer kept here${task.root === task.file_hash ? '' : `: get ${task.root} from the storage network`}`,
        )
      return sendFile(reply, folders.delivery(task.id), task, headers.range)
    })
  }
}

/** Errors as the public SDK reads them: `{ "error": "text" }`. */
export function jsonErrors(app: FastifyInstance): void {
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'there is nothing here' }))
  app.setErrorHandler((error: Error & { statusCode?: number; retryAfter?: number | undefined }, request, reply) => {
    const status = statusOf(error)
    if (status >= 500 && !(error instanceof HttpError)) request.log.error({ err: error }, 'a request failed')
    if (error.retryAfter !== undefined) void reply.header('Retry-After', error.retryAfter)
    return reply.code(status).send({ error: status === 500 ? 'internal error' : error.message })
  })
}

function statusOf(error: Error & { statusCode?: number }): number {
  if (error instanceof TuningSignatureError) return 401
  if (error instanceof TrainingParamsError) return 400
  if (error instanceof UploadTooLarge) return 413
  if (error instanceof DiskFull) return 507
  return error.statusCode ?? 500
}

function parse<T extends z.ZodType>(type: T, value: unknown): z.output<T> {
  const parsed = type.safeParse(value)
  if (parsed.success) return parsed.data
  throw new HttpError(400, parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`).join('; '))
}

function addressOf(text: string): string {
  if (!isAddress(text)) throw new HttpError(400, `${text} is not an address`)
  return getAddress(text)
}

function modelNamed(models: readonly OfferedModel[], name: string): OfferedModel {
  const model = models.find((each) => each.name === name)
  if (!model) throw new HttpError(404, `this provider does not tune ${name}: it offers ${models.map((each) => each.name).join(', ')}`)
  return model
}

async function taskOf(tasks: Tasks, { user, id }: { user: string; id: string }): Promise<Task> {
  const task = await tasks.find(id.toLowerCase())
  if (task?.user !== addressOf(user)) throw new HttpError(404, `${user} has no task ${id} here`)
  return task
}

async function requireAccount(serving: Serving, user: string): Promise<void> {
  const means = await serving.meansOf(user)
  if (means && means.funds > 0n) return
  throw new HttpError(402, `${user} has no funds in a sub-account with this provider: transfer some from the ledger first`)
}

const describe = ({ name, hash, description, tokenizer, coefficient, standsInFor }: OfferedModel) => ({
  name,
  hash,
  description,
  dataType: 'text',
  tokenizer,
  coefficient,
  ...(standsInFor !== undefined && { standsInFor }),
})

/** A task as anyone may see it: neither the signature nor anything of the data. */
const shown = (task: Task) => ({
  id: task.id,
  createdAt: task.created_at,
  updatedAt: task.updated_at,
  userAddress: task.user,
  preTrainedModelHash: task.model_hash,
  datasetHash: task.dataset_hash,
  trainingParams: task.params,
  fee: task.fee ?? '0',
  nonce: task.nonce,
  signature: '',
  progress: task.state,
  deliverIndex: '0',
  tokens: task.tokens,
  step: task.step,
  steps: task.steps,
  loss: task.loss,
  modelRootHash: task.root,
  fileHash: task.file_hash,
  fileSize: task.file_size,
  teeSignerAddress: task.signer,
  failure: task.failure,
})

/** The whole file or a part of it, so that a broken download can go on. */
function sendFile(reply: FastifyReply, path: string, { file_size, file_hash, id }: Task, range: string | undefined): FastifyReply {
  const size = file_size!
  void reply.header('Accept-Ranges', 'bytes').header('ETag', `"${file_hash}"`).header('Cache-Control', 'no-transform')
  void reply.type('application/octet-stream').header('Content-Disposition', `attachment; filename="${id}.model"`)
  const part = byteRange(range, size)
  if (part === 'unsatisfiable')
    return reply
      .code(416)
      .type('application/json')
      .header('Content-Range', `bytes */${size}`)
      .send({ error: `the file has ${size} bytes` })
  if (!part) return reply.header('Content-Length', size).send(createReadStream(path))
  const [start, end] = part
  void reply
    .code(206)
    .header('Content-Range', `bytes ${start}-${end - 1}/${size}`)
    .header('Content-Length', end - start)
  return reply.send(createReadStream(path, { start, end: end - 1 }))
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstat, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { lines, TrainerLog } from './lines.ts'
import { type Progress, type Trainer, TrainingFailed, type TrainingJob } from './trainer.ts'

/** Exit code of a trainer that can't use what it was given (EX_DATAERR of sysexits.h): trying again won't help. */
const DATA_ERROR = 65
const WATCH_MS = 1000
/** What a trainer gets of the keeper's environment: enough to find a container engine, and none of its secrets. */
const ENVIRONMENT = ['PATH', 'HOME', 'LANG', 'DOCKER_HOST', 'XDG_RUNTIME_DIR']

const Line = z.union([
  z.object({ error: z.string().max(500) }),
  z.object({ tokens: z.int().min(1) }),
  z.object({
    step: z.int().min(0),
    steps: z.int().min(1),
    loss: z.number().optional(),
    heldOutLoss: z.number().optional(),
    heldOutAccuracy: z.number().min(0).max(1).optional(),
    resumed: z.boolean().optional(),
  }),
])

export interface CommandOptions {
  /** Program and arguments; {action}, {task}, {input}, {output} and {work} are replaced in each. */
  command: readonly string[]
  /** Run before and after each training, to remove a container that outlived its command line. */
  cleanup: readonly string[] | undefined
  /** Longest time a run may take. */
  timeoutSeconds: number
  /** Time between SIGTERM and SIGKILL. */
  graceSeconds: number
  /** Largest output, in bytes. */
  maxOutputBytes: number
}

type Job = Pick<TrainingJob, 'taskId' | 'model' | 'dataset' | 'folder' | 'signal'> & Partial<Pick<TrainingJob, 'params' | 'onProgress'>>

/** Trains with a command, which is meant to start a container. Its contract: docs/tuning.md. */
export function commandTrainer(options: CommandOptions): Trainer {
  return {
    async countTokens(job) {
      const { tokens } = await run('count', job, options)
      if (tokens === undefined) throw new Error('the trainer counted no tokens: it has to print {"tokens": n}')
      return tokens
    },
    async train(job) {
      const { output } = await run('train', job, options)
      const model = join(output, 'model')
      // Not followed: what a link in there points to belongs to this machine.
      const found = await lstat(model).catch(() => undefined)
      if (!found?.isFile() || found.size === 0) throw new Error('the trainer ended without an error and left no file "model"')
      return model
    },
  }
}

interface Outcome {
  output: string
  tokens: number | undefined
}

async function run(action: 'count' | 'train', job: Job, options: CommandOptions): Promise<Outcome> {
  job.signal.throwIfAborted()
  const folders = await prepare(job)
  const fill = (argument: string) =>
    argument.replaceAll(/\{(action|task|input|output|work)\}/g, (_, name: string) => ({ action, task: job.taskId, ...folders })[name as 'action'])
  const cleanup = async () => {
    if (options.cleanup) await once(start(options.cleanup.map(fill)).resume(), 'close').catch(() => {})
  }
  await cleanup()
  const log = await TrainerLog.open(join(job.folder, 'trainer.log'))
  const result: { tokens?: number; error?: string } = {}
  const read = (line: string): void => {
    const parsed = Line.safeParse(parseJson(line)).data
    if (!parsed) return
    if ('error' in parsed) result.error = parsed.error
    else if ('tokens' in parsed) result.tokens = parsed.tokens
    else job.onProgress?.(parsed satisfies Progress)
  }
  const process = new Supervised(options.command.map(fill), options)
  try {
    const [code] = await Promise.all([
      process.ended(job.signal, folders.output),
      lines(process.child.stdout!, (line) => {
        log.write(line)
        read(line)
      }),
      lines(process.child.stderr!, (line) => log.write(line)),
    ])
    if (code === DATA_ERROR) throw new TrainingFailed(result.error ?? 'the trainer cannot use this dataset or these parameters')
    if (code !== 0)
      throw new Error(`the trainer ended with ${typeof code === 'number' ? `exit code ${code}` : code}: ${join(job.folder, 'trainer.log')} has its output`)
    return { output: folders.output, tokens: result.tokens }
  } finally {
    await log.close()
    await cleanup()
  }
}

/** Lays out what the trainer may see; the output is empty at every start, so that nothing half-written is ever taken for a model. */
async function prepare({ folder, taskId, model, dataset, params }: Job): Promise<{ input: string; output: string; work: string }> {
  const at = (name: string) => resolve(folder, name)
  const folders = { input: dirname(resolve(dataset)), output: at('output'), work: at('work') }
  await rm(folders.output, { recursive: true, force: true })
  for (const path of Object.values(folders)) await mkdir(path, { recursive: true })
  await writeFile(join(folders.input, 'task.json'), JSON.stringify({ taskId, model, dataset: basename(dataset), params }))
  return folders
}

function start([program, ...args]: readonly string[]): ChildProcess & { resume(): ChildProcess } {
  const env = Object.fromEntries(ENVIRONMENT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])))
  // A group of its own, so that what the command starts ends with it. Its standard input stays open as long as the keeper lives.
  const child = spawn(program!, args, { env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => {})
  return Object.assign(child, {
    resume() {
      child.stdin.end()
      child.stdout.resume()
      child.stderr.resume()
      return child
    },
  })
}

/** One run of the command, within its limits. */
class Supervised {
  readonly child: ChildProcess
  readonly #options: CommandOptions
  readonly #closed: Promise<number | string>
  #broken: Error | undefined

  constructor(command: readonly string[], options: CommandOptions) {
    this.#options = options
    this.child = start(command)
    this.#closed = new Promise((resolve, reject) => {
      this.child.once('error', (cause) => reject(new Error(`the trainer ${command[0]} could not be started: ${cause.message}`, { cause })))
      this.child.once('close', (code, signal) => resolve(code ?? signal!))
    })
  }

  /** Exit code or signal. @throws the signal's reason, or which limit was passed, once the whole group is gone. */
  async ended(signal: AbortSignal, output: string): Promise<number | string> {
    const over = new AbortController()
    const stop = () => void this.#stop(over.signal)
    signal.addEventListener('abort', stop, { once: true })
    const watching = this.#watch(output, stop, over.signal)
    try {
      const code = await this.#closed
      if (signal.aborted) throw signal.reason
      if (!this.#broken && (await sizeOf(output)) > this.#options.maxOutputBytes) this.#broken = this.#tooLarge()
      if (this.#broken) throw this.#broken
      return code
    } finally {
      over.abort()
      signal.removeEventListener('abort', stop)
      this.#kill('SIGKILL')
      await watching
    }
  }

  async #watch(output: string, stop: () => void, over: AbortSignal): Promise<void> {
    const { timeoutSeconds, maxOutputBytes } = this.#options
    const deadline = Date.now() + timeoutSeconds * 1000
    while (!over.aborted && !this.#broken) {
      await sleep(Math.max(0, Math.min(WATCH_MS, deadline - Date.now())), undefined, { signal: over }).catch(() => {})
      if (over.aborted) return
      if (Date.now() >= deadline) this.#broken = new TrainingFailed(`the training took longer than ${timeoutSeconds} seconds`)
      else if ((await sizeOf(output)) > maxOutputBytes) this.#broken = this.#tooLarge()
    }
    stop()
  }

  #tooLarge(): TrainingFailed {
    return new TrainingFailed(`the trained model is larger than ${this.#options.maxOutputBytes} bytes`)
  }

  async #stop(over: AbortSignal): Promise<void> {
    this.#kill('SIGTERM')
    await sleep(this.#options.graceSeconds * 1000, undefined, { signal: over }).catch(() => {})
    if (!over.aborted) this.#kill('SIGKILL')
  }

  #kill(signal: NodeJS.Signals): void {
    if (this.child.pid === undefined) return
    try {
      process.kill(-this.child.pid, signal)
    } catch {
      // nothing of the group is left
    }
  }
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (!entry.isFile()) continue
    bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0
  }
  return bytes
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

import { type ChildProcess, fork } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const TYPESCRIPT = fileURLToPath(new URL('../scripts/ts.mjs', import.meta.url))
const TAIL_LINES = 20
/** Time a child has to stop before it is killed; the whole network stops within ten seconds. */
const STOP_WITHIN_MS = 6000

export interface ChildOptions {
  name: string
  /** The module to run. */
  module: URL
  /** Its output goes here. */
  log: string
  /** Told when the process ends although nobody stopped it. */
  onCrash: (report: string) => void
}

/**
 * A part of the network in a process of its own. Parent and child talk over the IPC channel; when it closes, as it does when the parent
 * dies in whatever way, the child stops.
 */
export class Child<In, Out> {
  readonly #process: ChildProcess
  readonly #exited: Promise<void>
  #stopping = false

  constructor({ name, module, log, onCrash }: ChildOptions) {
    mkdirSync(dirname(log), { recursive: true })
    const output = openSync(log, 'w')
    this.#process = fork(module, { execArgv: ['--import', TYPESCRIPT], stdio: ['ignore', output, output, 'ipc'] })
    closeSync(output)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#exited = promise
    this.#process.once('exit', (code, signal) => {
      resolve()
      if (!this.#stopping) onCrash(`the ${name} process ended unexpectedly (${signal ?? `exit code ${code}`}); the end of ${log}:\n${tail(log)}`)
    })
  }

  /** Sends a request; the child's next message is the answer. Never settles when the child ends first: `onCrash` tells that. */
  ask(message: In): Promise<Out> {
    return new Promise((resolve, reject) => {
      this.#process.once('message', (answer) => resolve(answer as Out))
      this.#process.send(message as object, (error) => error && !this.#process.killed && this.#process.connected && reject(error))
    })
  }

  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#process.connected) this.#process.disconnect()
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_WITHIN_MS)
    await this.#exited
    clearTimeout(timer)
  }
}

/** The other end, inside the child: `serve` handles requests, `stop` runs once when the parent is gone or done. */
export function answerParent<In, Out>(serve: (message: In) => Promise<Out>, stop: () => Promise<void>): void {
  // Ctrl-C reaches every process of the terminal; it is for the parent to act on it.
  process.on('SIGINT', () => {})
  process.on('message', (message) => {
    void serve(message as In).then(
      (answer) => process.send?.(answer),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
  const end = () =>
    void stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  process.once('disconnect', end)
  process.once('SIGTERM', end)
}

function tail(path: string): string {
  return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES).join('\n')
}

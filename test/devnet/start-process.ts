import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { DevnetFile } from '../../devnet/devnet-file.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Where the services of a network are. */
export const urlsOf = (services: DevnetFile['services']): string[] =>
  Object.values(services)
    .flat()
    .map((service) => (typeof service === 'string' ? service : service.url))
    // gRPC has no URLs.
    .filter((url) => url.startsWith('http'))

/** `npm start -- --dir <folder> …` without npm. */
export class Start {
  readonly #process: ChildProcess
  readonly #file: string
  output = ''

  constructor(folder: string, ...flags: string[]) {
    this.#file = join(folder, 'devnet.json')
    this.#process = spawn(process.execPath, ['--import', './scripts/ts.mjs', 'devnet/main.ts', '--dir', folder, ...flags], { cwd: ROOT })
    for (const stream of [this.#process.stdout!, this.#process.stderr!])
      stream.on('data', (chunk) => {
        this.output += chunk
      })
  }

  /** Waits until it has printed `text`; it must not end before. */
  async says(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      assert.ok(this.running, this.output)
      await sleep(50)
    }
  }

  /** The network's file, once all is up: a killed network leaves one behind. */
  async up(): Promise<DevnetFile> {
    await this.says('ready in')
    return JSON.parse(readFileSync(this.#file, 'utf8')) as DevnetFile
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  async exit(signal?: NodeJS.Signals): Promise<number | null> {
    if (!this.running) return this.#process.exitCode
    if (signal) this.#process.kill(signal)
    const [code] = await once(this.#process, 'exit')
    return code
  }
}

import { type FileHandle, open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/** Longer lines are cut: what a trainer prints must not fill the memory. */
const MAX_LINE = 16_384
/** Of what a trainer prints, so much is kept of each run. */
const MAX_LOG = 1024 * 1024

/** Calls back for each line of a stream, to its end. */
export async function lines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  const decoder = new StringDecoder('utf8')
  let held = ''
  for await (const chunk of stream) {
    const parts = decoder.write(chunk as Buffer).split('\n')
    parts[0] = held + parts[0]
    held = parts.pop()!.slice(0, MAX_LINE)
    for (const line of parts) onLine(line.slice(0, MAX_LINE))
  }
  if (held !== '') onLine(held)
}

/** What a trainer prints, for the operator: it may quote the dataset, so it is never served. */
export class TrainerLog {
  readonly #file: FileHandle
  #room = MAX_LOG
  #writing: Promise<unknown> = Promise.resolve()

  private constructor(file: FileHandle) {
    this.#file = file
  }

  static async open(path: string): Promise<TrainerLog> {
    return new TrainerLog(await open(path, 'w', 0o600))
  }

  write(line: string): void {
    if (this.#room <= 0) return
    const text = `${line}\n`.slice(0, this.#room)
    this.#room -= text.length
    this.#writing = this.#writing.then(() => this.#file.write(text)).catch(() => {})
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#file.close()
  }
}

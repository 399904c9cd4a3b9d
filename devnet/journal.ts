import { closeSync, existsSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'

/** What block 0 is made of. With it, and the entries, the EVM reproduces every block and its hash. */
const headerSchema = z.strictObject({
  format: z.literal('perigee chain journal 2'),
  genesisTime: z.iso.datetime(),
  chainId: z.int().positive(),
  hardfork: z.string(),
})
export type Header = z.infer<typeof headerSchema>

/** A JSON-RPC call that changed the chain. `time` is the timestamp of the (first) block it makes, `head` the first 4 bytes of the last one's hash. */
const callSchema = z.strictObject({ call: z.string(), params: z.array(z.unknown()), time: z.int().optional(), head: z.string().optional() })

/** Blocks mined because time passed: `times` rounds of `blocks` blocks, all `every` seconds apart, the first at `time`. */
const idleSchema = z.strictObject({ time: z.int(), every: z.int().positive(), blocks: z.int().positive(), times: z.int().positive() })

/** The chain's clock runs `clock` seconds ahead of the wall clock from here on (time travel). */
const clockSchema = z.strictObject({ clock: z.int() })

const entrySchema = z.union([callSchema, idleSchema, clockSchema])
export type Call = z.infer<typeof callSchema>
export type Idle = z.infer<typeof idleSchema>
export type Entry = z.infer<typeof entrySchema>

/** `times` is written with this many digits' room, so that a longer run of idle blocks overwrites its line in place. */
const TIMES_WIDTH = 10

/**
 * An append-only file of JSON lines: a header, then entries. A line is acknowledged once written (the page cache survives the death of the
 * process), and a last line that was torn is cut off before anything is appended.
 */
export class Journal {
  readonly #fd: number
  #end = 0
  #run: (Idle & { at: number }) | undefined
  readonly header: Header

  private constructor(fd: number, header: Header) {
    this.#fd = fd
    this.header = header
  }

  static open(path: string, fresh: Omit<Header, 'format'>): { journal: Journal; entries: Entry[] } {
    mkdirSync(dirname(path), { recursive: true })
    if (!existsSync(path)) {
      writeFileSync(`${path}.new`, `${JSON.stringify({ format: 'perigee chain journal 2', ...fresh } satisfies Header)}\n`)
      renameSync(`${path}.new`, path)
    }
    const fd = openSync(path, 'r+')
    try {
      const lines = readLines(fd)
      const header = headerSchema.safeParse(parse(lines[0]?.text ?? ''))
      if (!header.success) throw new Error(`${path} is not a chain journal this version can read; start afresh with --reset or move the file away`)
      const journal = new Journal(fd, header.data)
      const entries = journal.#load(path, lines)
      return { journal, entries }
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  #load(path: string, lines: Line[]): Entry[] {
    const entries: Entry[] = []
    this.#end = lines[0]!.end
    for (const [i, line] of lines.entries()) {
      if (i === 0) continue
      const entry = line.complete ? entrySchema.safeParse(parse(line.text)) : undefined
      if (!entry?.success) {
        if (i < lines.length - 1) throw new Error(`${path}: line ${i + 1} is damaged; restore the file or start afresh with --reset`)
        ftruncateSync(this.#fd, this.#end)
        break
      }
      entries.push(entry.data)
      this.#run = 'times' in entry.data ? { ...entry.data, at: this.#end } : undefined
      this.#end = line.end
    }
    return entries
  }

  append(...entries: Entry[]): void {
    this.#run = undefined
    this.#write(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''), this.#end)
  }

  /** Records one round of idle blocks; a round that continues the last entry only rewrites that entry's count. */
  idle(round: Omit<Idle, 'times'>): void {
    const run = this.#run
    if (run && run.every === round.every && run.blocks === round.blocks && run.time + run.times * run.blocks * run.every === round.time) {
      run.times++
      this.#write(idleLine(run), run.at)
    } else {
      this.#run = { ...round, times: 1, at: this.#end }
      this.#write(idleLine(this.#run), this.#end)
    }
  }

  #write(text: string, at: number): void {
    const bytes = Buffer.from(text)
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done, bytes.length - done, at + done)
    this.#end = Math.max(this.#end, at + bytes.length)
  }

  close(): void {
    closeSync(this.#fd)
  }
}

interface Line {
  text: string
  /** Offset behind the line. */
  end: number
  /** False for a last line without its line break. */
  complete: boolean
}

function readLines(fd: number): Line[] {
  const bytes = Buffer.alloc(fstatSync(fd).size)
  for (let done = 0; done < bytes.length; ) {
    const n = readSync(fd, bytes, done, bytes.length - done, done)
    if (n === 0) throw new Error('the journal shrank while it was read: is another process using it?')
    done += n
  }
  const lines: Line[] = []
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start)
    const end = newline < 0 ? bytes.length : newline + 1
    lines.push({ text: bytes.toString('utf8', start, newline < 0 ? end : newline), end, complete: newline >= 0 })
    start = end
  }
  return lines
}

function idleLine({ time, every, blocks, times }: Idle): string {
  return `{"time":${time},"every":${every},"blocks":${blocks},"times":${String(times).padStart(TIMES_WIDTH)}}\n`
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

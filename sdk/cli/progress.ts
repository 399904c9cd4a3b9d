import { Presets, SingleBar } from 'cli-progress'
import { bytes } from './output.ts'

export interface Progress {
  /** Shows `done` of `total` bytes of what is going on now. */
  update(what: string, done: number, total: number): void
  stop(): void
}

/** A bar on standard error where that is a terminal; elsewhere nothing. */
export function startProgress({ json }: { json?: boolean | undefined }): Progress {
  if (json || !process.stderr.isTTY) return { update: () => {}, stop: () => {} }
  const format = '{what} {bar} {percentage}%  {of}  {eta_formatted}'
  const bar = new SingleBar({ format, stream: process.stderr, hideCursor: true, clearOnComplete: true, etaBuffer: 100 }, Presets.shades_classic)
  let current = ''
  return {
    update(what, done, total) {
      const payload = { what: what.padEnd(12), of: bytes(total) }
      if (what !== current) {
        bar.stop()
        bar.start(total, done, payload)
        current = what
      }
      bar.update(done, payload)
    },
    stop: () => bar.stop(),
  }
}

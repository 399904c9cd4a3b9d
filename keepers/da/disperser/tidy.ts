import type { BlobFiles } from './blob-files.ts'
import type { Requests } from './requests.ts'

export interface TidyOptions {
  files: BlobFiles
  requests: Requests
  keepSeconds: number
  rememberSeconds: number
  /** The last block whose certificates are final. */
  finalBlock: () => number
}

/** Deletes bytes that have been kept long enough, and forgets requests. */
export async function tidy({ files, requests, keepSeconds, rememberSeconds, finalBlock }: TidyOptions, signal: AbortSignal): Promise<void> {
  const before = Date.now() - keepSeconds * 1000
  for (let ids = await requests.expendable(before, finalBlock()); ids.length > 0; ids = await requests.expendable(before, finalBlock())) {
    signal.throwIfAborted()
    for (const id of ids) await files.remove(id)
    await requests.removed(ids)
  }
  await requests.forget(Date.now() - rememberSeconds * 1000)
}

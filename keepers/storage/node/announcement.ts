import type { IndexerClient } from '../../../sdk/storage/indexer-client.ts'
import type { Log } from '../../runtime/log.ts'
import type { Round } from './upkeep.ts'

export interface AnnouncementOptions {
  indexer: IndexerClient
  publicUrl: string
  everyMs: number
  log: Log
}

/** Tells the indexer again and again where this node is, since an indexer forgets a node that was away. */
export function announcement({ indexer, publicUrl, everyMs, log }: AnnouncementOptions): Round {
  let problem: string | undefined
  return {
    everyMs,
    async run(signal) {
      const before = problem
      problem = await indexer.announce(publicUrl, { signal, retries: 0 }).then(
        () => undefined,
        (error: Error) => error.message,
      )
      if (problem === before || signal.aborted) return
      if (problem === undefined) log.info({ indexer: indexer.url, publicUrl }, 'the indexer lists this node again')
      else log.warn({ indexer: indexer.url, publicUrl, reason: problem }, 'the indexer does not list this node')
    },
  }
}

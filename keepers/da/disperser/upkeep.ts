import type { Queue } from '../../runtime/queue.ts'

/** Periodic work: runs until done or told to stop, and is harmless to repeat. */
export interface Round {
  everyMs: number
  run(signal: AbortSignal): Promise<void>
}

/** Schedules rounds through the queue, so that they are seen, counted and retried like other jobs. One round never overlaps itself. */
export async function startUpkeep(queue: Queue<{ round: string }>, rounds: Record<string, Round>): Promise<void> {
  const running = new Set<string>()
  for (const [name, { everyMs }] of Object.entries(rounds)) await queue.every(name, everyMs, { round: name })
  await queue.process(
    async ({ data: { round }, signal }) => {
      if (running.has(round)) return
      running.add(round)
      try {
        await rounds[round]?.run(signal)
      } finally {
        running.delete(round)
      }
    },
    { concurrency: Object.keys(rounds).length },
  )
}

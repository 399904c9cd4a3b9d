import type { Queue } from '../../runtime/queue.ts'

/** Periodic work, harmless to repeat. */
export interface Round {
  everyMs: number
  run(): Promise<void>
}

export type Rounds = Readonly<Record<string, Round>>

/** Schedules rounds through the queue, so that they are seen and counted like other jobs. One round never overlaps itself. */
export async function startUpkeep(queue: Queue<{ round: string }>, rounds: Rounds): Promise<void> {
  const running = new Map<string, Promise<void>>()
  for (const [name, { everyMs }] of Object.entries(rounds)) await queue.every(name, everyMs, { round: name })
  await queue.process(
    async ({ data: { round } }) => {
      const work = running.get(round) ?? rounds[round]?.run().finally(() => running.delete(round))
      if (work) running.set(round, work)
      await work
    },
    { concurrency: Object.keys(rounds).length },
  )
}

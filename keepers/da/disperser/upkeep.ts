import { reasonOf } from '../../../sdk/errors.ts'
import type { Log } from '../../runtime/log.ts'

/** Something to look after from time to time: runs until done or told to stop, and is harmless to repeat. */
export type Step = (signal: AbortSignal) => Promise<unknown>

/** Runs the steps one after the other; one that fails is logged, once as long as the reason is the same, and does not keep the others from running. */
export function upkeep(steps: Readonly<Record<string, Step>>, log: Log): Step {
  const troubles = new Map<string, string>()
  return async (signal) => {
    for (const [name, step] of Object.entries(steps)) {
      signal.throwIfAborted()
      try {
        await step(signal)
        troubles.delete(name)
      } catch (error) {
        if (signal.aborted) throw error
        const reason = reasonOf(error)
        if (troubles.get(name) !== reason) log.warn({ err: error, step: name }, 'a part of the upkeep failed: trying again')
        troubles.set(name, reason)
      }
    }
  }
}

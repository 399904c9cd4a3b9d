import { HardhatPluginError } from 'hardhat/plugins'
import type { NewTaskActionFunction } from 'hardhat/types/tasks'

/** Our errors say what to do; Hardhat prints those of plugins without a stack trace and without calling them a bug of its own. */
export function explained<A extends Record<string, any>>(action: NewTaskActionFunction<A>): NewTaskActionFunction<A> {
  return async (args, hre) => {
    try {
      await action(args, hre)
    } catch (error) {
      throw new HardhatPluginError('perigee', (error as Error).message, error as Error)
    }
  }
}

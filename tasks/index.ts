import type { TaskDefinition } from 'hardhat/types/tasks'

/** Lazy actions: a task file is loaded only when its task runs. */
export const tasks: TaskDefinition[] = []

import { task } from 'hardhat/config'
import type { TaskDefinition } from 'hardhat/types/tasks'

/** Lazy actions: a task file is loaded only when its task runs. */
export const tasks: TaskDefinition[] = [
  task('deploy', 'Deploy a profile to the selected network; run again, it does only what is missing')
    .addOption({ name: 'profile', description: 'local, small or mainnet', defaultValue: 'small' })
    .addOption({
      name: 'randomness',
      description: 'where the seeds of epochs come from, if not from where the profile says: prevrandao or evmnet',
      defaultValue: '',
    })
    .addOption({ name: 'book', description: 'folder of the address books', defaultValue: 'deployments' })
    .setAction(() => import('./deploy.ts'))
    .build(),
  task('schedule-price', 'Schedule a price of storage; it takes effect after the notice of the market')
    .addPositionalArgument({ name: 'price', description: 'wei per sector of 256 bytes and lease period' })
    .addOption({ name: 'book', description: 'folder of the address books', defaultValue: 'deployments' })
    .addFlag({ name: 'proposal', description: 'send nothing; print the call for the timelock to schedule' })
    .setAction(() => import('./schedule-price.ts'))
    .build(),
  task('sizes', 'Print the code sizes of all contracts; fail above the limit of EIP-170')
    .setAction(() => import('./sizes.ts'))
    .build(),
]

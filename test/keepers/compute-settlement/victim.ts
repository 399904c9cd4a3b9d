// A provider's settlement in a process of its own, to be killed at any instant.
// argv: JSON of { setup, dataDir, users }. Journals one answer to each of `users`, says so, and settles.
import { openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { openProvider, type ProviderSetup } from './provider.ts'

export interface VictimTask {
  setup: ProviderSetup
  dataDir: string
  users: string[]
}

const { setup, dataDir, users } = JSON.parse(process.argv[2]!) as VictimTask
const log = createLog({ name: 'victim', level: 'silent' })
const provider = await openProvider(setup, { backend: await openBackend({ dataDir, log }), log })
await Promise.all(users.map((user) => provider.serve({ user })))
process.stdout.write('journalled\n')
await provider.settlement.round()
process.stdout.write('settled\n')
await provider.stop()
process.exit(0)

// A provider in a process of its own, to be killed: its configuration is the argument.
import { computeProvider } from '../../../keepers/compute/provider/keeper.ts'
import { createRuntime, openBackend } from '../../../keepers/runtime/keeper.ts'
import { createLog } from '../../../keepers/runtime/log.ts'

const log = createLog({ name: 'victim', level: 'error' })
const config = computeProvider.schema.parse(JSON.parse(process.argv[2]!))
const backend = await openBackend({ dataDir: config.dataDir, log })
const keeper = await computeProvider.create(config, createRuntime({ name: 'compute/provider', backend, log }))
await keeper.start()
process.stdout.write(`${keeper.url}\n`)

import { runKeeper } from '../../runtime/run.ts'
import { storageNode } from './keeper.ts'

await runKeeper(storageNode)

import { runKeeper } from '../../runtime/run.ts'
import { indexer } from './keeper.ts'

await runKeeper(indexer)

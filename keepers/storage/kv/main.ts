import { runKeeper } from '../../runtime/run.ts'
import { kvKeeper } from './keeper.ts'

await runKeeper(kvKeeper)

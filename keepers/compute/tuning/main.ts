import { runKeeper } from '../../runtime/run.ts'
import { tuning } from './keeper.ts'

await runKeeper(tuning)

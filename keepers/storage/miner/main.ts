import { runKeeper } from '../../runtime/run.ts'
import { miner } from './keeper.ts'

await runKeeper(miner)

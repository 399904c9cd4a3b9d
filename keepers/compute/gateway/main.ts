import { runKeeper } from '../../runtime/run.ts'
import { gateway } from './keeper.ts'

await runKeeper(gateway)

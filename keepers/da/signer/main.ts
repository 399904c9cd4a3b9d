import { runKeeper } from '../../runtime/run.ts'
import { daSigner } from './keeper.ts'

await runKeeper(daSigner)

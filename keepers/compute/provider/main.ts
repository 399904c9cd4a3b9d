import { runKeeper } from '../../runtime/run.ts'
import { computeProvider } from './keeper.ts'

await runKeeper(computeProvider)

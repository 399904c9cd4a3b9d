import { runKeeper } from '../../runtime/run.ts'
import { disperser } from './keeper.ts'

await runKeeper(disperser)

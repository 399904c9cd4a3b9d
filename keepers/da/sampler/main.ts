import { runKeeper } from '../../runtime/run.ts'
import { sampler } from './keeper.ts'

await runKeeper(sampler)

import { runKeeper } from '../../runtime/run.ts'
import { collateralKeeper } from './keeper.ts'

await runKeeper(collateralKeeper)

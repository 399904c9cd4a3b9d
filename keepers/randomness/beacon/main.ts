import { runKeeper } from '../../runtime/run.ts'
import { beaconKeeper } from './keeper.ts'

await runKeeper(beaconKeeper)

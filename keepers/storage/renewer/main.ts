import { runKeeper } from '../../runtime/run.ts'
import { leaseRenewer } from './keeper.ts'

await runKeeper(leaseRenewer)

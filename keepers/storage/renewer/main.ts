// SPDX-License-Identifier: Apache-2.0
import { runKeeper } from '../../runtime/run.ts'
import { leaseRenewer } from './keeper.ts'

await runKeeper(leaseRenewer)

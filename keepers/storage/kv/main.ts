// SPDX-License-Identifier: Apache-2.0
import { runKeeper } from '../../runtime/run.ts'
import { kvKeeper } from './keeper.ts'

await runKeeper(kvKeeper)

// SPDX-License-Identifier: Apache-2.0
import { runKeeper } from '../../runtime/run.ts'
import { indexer } from './keeper.ts'

await runKeeper(indexer)

import { runKeeper } from '../../runtime/run.ts'
import { retriever } from './keeper.ts'

await runKeeper(retriever)

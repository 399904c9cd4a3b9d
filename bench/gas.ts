import { attestationRows } from './gas/attestation.ts'
import { computeRows } from './gas/compute.ts'
import { daRows } from './gas/da.ts'
import { daMoneyRows } from './gas/da-money.ts'
import { fineTuningRows } from './gas/fine-tuning.ts'
import { flowRows } from './gas/flow.ts'
import { poraRows } from './gas/pora.ts'
import { randomnessRows } from './gas/randomness.ts'
import { stakeRows } from './gas/stake.ts'
import type { Row } from './report.ts'

export const about = 'gas of whole transactions through our proxies, next to the contracts of the public network'

export async function rows(progress: (what: string) => void): Promise<Row[]> {
  return [
    ...(await flowRows(progress)),
    ...(await poraRows(progress)),
    ...(await stakeRows(progress)),
    ...(await attestationRows(progress)),
    ...(await computeRows(progress)),
    ...(await fineTuningRows(progress)),
    ...(await daRows(progress)),
    ...(await daMoneyRows(progress)),
    ...(await randomnessRows(progress)),
  ]
}

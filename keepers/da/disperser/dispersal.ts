import type { DaEpoch } from '../../../sdk/da/epochs.ts'
import type { Stored } from './batching.ts'
import type { Gathered } from './gather.ts'
import type { Task } from './requests.ts'

/** A blob that its signers have stored, on the way into a batch: for one request, or for several that came with the same bytes. */
export interface Dispersal extends Stored {
  readonly inEpoch: DaEpoch
  readonly tasks: Task[]
  /** Unix milliseconds. */
  readonly readyAt: number
}

/** Too few signers did what was asked of them. */
export class NotEnough extends Error {
  override readonly name = 'NotEnough'
  /** Whether those that answered no are why. */
  readonly refused: boolean

  constructor(message: string, refused: boolean) {
    super(message)
    this.refused = refused
  }
}

/** It can't be certified, now or later, for a reason that lies in the request. */
export class Unacceptable extends Error {
  override readonly name = 'Unacceptable'
}

const percent = (part: bigint, total: bigint): string => `${Number((part * 1000n) / total) / 10} %`

/** What is wrong when members of more than a third of the weight did not do it (`verb`), with the reasons that they gave. */
export function shortfall(verb: 'stored' | 'signed', total: bigint, { failures }: Pick<Gathered<unknown>, 'failures'>): NotEnough {
  const all = [...failures.values()]
  const weightOf = (some: typeof all) => some.reduce((sum, { weight }) => sum + weight, 0n)
  const said = all.map(({ account, reason }) => `${account}: ${reason}`)
  const refusing = weightOf(all.filter(({ kind }) => kind === 'refused'))
  return new NotEnough(`not ${verb} by ${percent(weightOf(all), total)} of the weight, where two thirds are needed: ${said.join('; ')}`, 3n * refusing > total)
}

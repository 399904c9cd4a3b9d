import { status } from '@grpc/grpc-js'
import { getBytes } from 'ethers'
import type { Kysely, Selectable } from 'kysely'
import { SIBLING_SIZE } from '../../../protocol/da/row-path.ts'
import type { DaContracts } from '../../../sdk/da/contracts.ts'
import { GrpcError } from '../../runtime/grpc-error.ts'
import type { Log } from '../../runtime/log.ts'
import { Reverted } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { Reading } from './reading.ts'
import type { ChallengeTable, Tables } from './schema.ts'

type Open = Selectable<ChallengeTable>

export interface ChallengesOptions {
  db: Kysely<Tables>
  contract: DaContracts['challenges']
  address: string
  reading: Reading
  /** Fetches rows of a blob that are not here. */
  urge: (blobId: string) => void
  sender: Sender
  /** The chain's time, unix seconds. */
  now: () => number
  log: Log
}

/** Answers challenges against us, each until the chain says that it is closed or its time is over. */
export class Challenges {
  readonly #options: ChallengesOptions
  readonly #underway = new Set<string>()
  readonly #complained = new Set<string>()

  constructor(options: ChallengesOptions) {
    this.#options = options
  }

  open(): Promise<Open[]> {
    return this.#options.db.selectFrom('challenges').selectAll().where('closed_block', 'is', null).where('deadline', '>=', this.#options.now()).execute()
  }

  /** Sees to all that are open; one that does not succeed is tried again the next time. */
  async answerAll(): Promise<void> {
    await Promise.all((await this.open()).map((challenge) => this.#answer(challenge)))
  }

  async #answer({ id, blob_id, row, chunk, deadline, opened_block }: Open): Promise<void> {
    const { contract, address, reading, urge, sender, log } = this.#options
    const key = `answer challenge ${id} of block ${opened_block}`
    if (this.#underway.has(key)) return
    this.#underway.add(key)
    try {
      const { chunks } = await reading.chunks({ blobId: getBytes(blob_id), positions: [{ row, chunk }] })
      const { data, path } = chunks[0]!
      const siblings = Array.from({ length: path.length / SIBLING_SIZE }, (_, i) => path.subarray(SIBLING_SIZE * i, SIBLING_SIZE * (i + 1)))
      await sender.send({ key, to: address, data: contract.interface.encodeFunctionData('answer', [id, data, siblings]) })
      log.info({ challenge: id, blobId: blob_id, row, chunk }, 'a challenge was answered')
    } catch (error) {
      // Anyone may answer, and the log that says so comes after.
      if (error instanceof Reverted && error.error === 'UnknownChallenge') return
      if (error instanceof GrpcError && error.code === status.NOT_FOUND) urge(blob_id)
      if (!this.#complained.has(key))
        log.error({ err: error, challenge: id, blobId: blob_id, row, chunk, deadline }, 'a challenge could not be answered: trying again until its deadline')
      this.#complained.add(key)
    } finally {
      this.#underway.delete(key)
    }
  }
}

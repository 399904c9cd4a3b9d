import type { Kysely } from 'kysely'
import type { Database } from './database.ts'
import type { RuntimeTables } from './tables.ts'

/** How many blocks a follower can look back through for one that a reorganisation left in place; before that it reads everything again. */
const CHECKPOINTS = 1024

/** A follower's place on the chain, stored in the same transaction as what was read there. */
export class Cursor {
  /** The last block before the first that matters. */
  readonly start: number
  number: number
  /** Hash of that block; undefined while nothing has been read. */
  hash: string | undefined
  /** Genesis of the chain the stored cursor belongs to, when it is another than ours. */
  foreign: string | undefined
  onMove: (number: number) => void = () => {}
  private readonly database: Kysely<RuntimeTables>
  private readonly follower: string
  private genesis: string

  constructor(database: Database, follower: string, genesis: string, start: number) {
    this.database = database
    this.follower = follower
    this.genesis = genesis
    this.start = start
    this.number = start
  }

  async load(): Promise<void> {
    const row = await this.database.selectFrom('chain_cursor').selectAll().where('follower', '=', this.follower).executeTakeFirst()
    if (!row) return
    if (row.genesis !== this.genesis) this.foreign = row.genesis
    this.moveTo(row.number, row.hash)
  }

  /** Newest first. */
  checkpoints(): Promise<{ number: number; hash: string }[]> {
    return this.database.selectFrom('chain_checkpoint').select(['number', 'hash']).where('follower', '=', this.follower).orderBy('number', 'desc').execute()
  }

  async advance(trx: Database, { number, hash }: { number: number; hash: string }): Promise<void> {
    const { follower } = this
    await this.store(trx, number, hash)
    await trx.insertInto('chain_checkpoint').values({ follower, number, hash }).execute()
    const tooOld = trx.selectFrom('chain_checkpoint').select('number').where('follower', '=', follower).orderBy('number', 'desc').offset(CHECKPOINTS).limit(1)
    await trx.deleteFrom('chain_checkpoint').where('follower', '=', follower).where('number', '<=', tooOld).execute()
  }

  async retreat(trx: Database, number: number, hash: string | undefined): Promise<void> {
    await trx.deleteFrom('chain_checkpoint').where('follower', '=', this.follower).where('number', '>', number).execute()
    if (hash !== undefined) await this.store(trx, number, hash)
    else await trx.deleteFrom('chain_cursor').where('follower', '=', this.follower).execute()
  }

  /** Forgets everything and belongs to the chain with this genesis from now on. */
  async reset(trx: Database, genesis: string): Promise<void> {
    await this.retreat(trx, -1, undefined)
    this.genesis = genesis
    this.foreign = undefined
  }

  moveTo(number: number, hash: string | undefined): void {
    this.number = number
    this.hash = hash
    this.onMove(number)
  }

  private async store(trx: Database, number: number, hash: string): Promise<void> {
    const { follower, genesis } = this
    await trx
      .insertInto('chain_cursor')
      .values({ follower, genesis, number, hash })
      .onConflict((conflict) => conflict.column('follower').doUpdateSet({ genesis, number, hash }))
      .execute()
  }
}

import { expect } from 'chai'
import { Answers } from '../../../keepers/compute/provider/answers.ts'
import { Receipts } from '../../../keepers/compute/provider/signing.ts'
import { migrations, type Tables } from '../../../keepers/compute/provider/tables.ts'
import { type Database, openDatabase, openPostgres, type Postgres } from '../../../keepers/runtime/database.ts'
import { createLog } from '../../../keepers/runtime/log.ts'

const DAY = 86_400
const NOW = 1000 * DAY
const contract = '0x0165878A594ca255338adfa4d48449f69242Eb8F'
const user = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const hash = `0x${'ab'.repeat(32)}`

describe('retention of receipts', function () {
  this.timeout(60_000)
  let postgres: Postgres
  let db: Database<Tables>

  before(async () => {
    postgres = await openPostgres({ log: createLog({ name: 'test', level: 'silent' }) })
    db = await openDatabase<Tables>(postgres, 'retention', migrations)
  })
  after(async () => {
    await db.destroy()
    await postgres.close()
  })

  it('given answers that are old, then those go whose batch is old too, and that are not the last of their key', async () => {
    const batch = (nonce: number, age: number) => ({ nonce, signer: contract, root: hash, items: '[]', signature: '0x', created_at: NOW - age * DAY })
    await db
      .insertInto('batches')
      .values([batch(1, 61), batch(2, 59)])
      .execute()
    const answer = (sequence: number, age: number, state: 'metered' | 'batched' | 'settled' | 'written_off', nonce: number | null) => ({
      id: `a${sequence}`,
      user,
      sequence,
      created_at: NOW - age * DAY,
      token_id: 255,
      price_version: 1,
      input_units: 1,
      output_units: 1,
      fee: '1',
      cumulative_fee: `${sequence}`,
      key_spend: '1',
      request_hash: hash,
      response_hash: hash,
      model: 'm',
      spec_hash: hash,
      seed: '0',
      units_rule: 'tokens/1',
      key_epoch: '0:0',
      signer: contract,
      signature: '0x',
      state,
      batch: nonce,
    })
    const rows = [
      answer(1, 62, 'settled', 1),
      answer(2, 62, 'written_off', 1),
      answer(3, 62, 'settled', 2),
      answer(4, 62, 'metered', null),
      answer(5, 62, 'batched', 1),
      answer(6, 62, 'written_off', null),
      answer(7, 59, 'settled', 2),
      answer(8, 62, 'settled', 1),
    ]
    await db.insertInto('answers').values(rows).execute()
    const receipts = new Receipts({ chainId: 31337, contract, provider: contract })
    await new Answers({ db, receipts, chainId: 31337, contract, keepDays: 60 }).prune(NOW)
    const kept = await db.selectFrom('answers').select('sequence').orderBy('sequence').execute()
    expect(kept.map(({ sequence }) => sequence)).to.deep.equal([3, 4, 5, 7, 8])
  })
})

import { expect } from 'chai'
import { sql } from 'kysely'
import { Registry } from 'prom-client'
import { type Draft, Journal } from '../../../keepers/compute/provider/journal.ts'
import { Receipts, Signing } from '../../../keepers/compute/provider/signing.ts'
import { SigningThread } from '../../../keepers/compute/provider/signing-thread.ts'
import { Spend } from '../../../keepers/compute/provider/spend.ts'
import { migrations, type Tables } from '../../../keepers/compute/provider/tables.ts'
import { type Database, openDatabase, openPostgres, type Postgres } from '../../../keepers/runtime/database.ts'
import { createLog } from '../../../keepers/runtime/log.ts'
import { isSignedText } from '../../../protocol/compute/signature.ts'
import { eventually } from '../runtime/quiet.ts'

const log = createLog({ name: 'test', level: 'silent' })
const [alice, bob] = ['0x70997970C51812dc3A010C7d01b50e0d17dc79C8', '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC']
const contract = '0x0165878A594ca255338adfa4d48449f69242Eb8F'
const hash = `0x${'ab'.repeat(32)}`
const price = { version: 1, inputPrice: 10n, outputPrice: 20n, effectiveAt: 1 }

describe('journal of answers', function () {
  this.timeout(60_000)
  let postgres: Postgres
  let db: Database<Tables>
  let schema = 0
  const stopping = new AbortController()
  const context = { chainId: 31337, contract, provider: bob! }
  const secret = new Uint8Array(32).fill(7)
  const receipts = new Receipts(context)
  const signing = new SigningThread(new Signing(secret, receipts).address, { secret, context })

  before(async () => {
    postgres = await openPostgres({ log })
  })
  beforeEach(async () => {
    db = await openDatabase<Tables>(postgres, `journal_${schema++}`, migrations)
  })
  afterEach(() => db.destroy())
  after(async () => {
    stopping.abort()
    await signing.close()
    await postgres.close()
  })

  async function open() {
    const spend = await Spend.load(db)
    return { spend, journal: new Journal({ db, spend, signing, log, metrics: new Registry(), signal: stopping.signal }) }
  }

  const draft = (id: string, changes: Partial<Draft> = {}): Draft => ({
    id,
    user: alice!,
    tokenId: 3,
    epoch: '0:0',
    createdAt: 1000,
    price,
    inputUnits: 3n,
    outputUnits: 4n,
    requestHash: hash,
    responseHash: hash,
    model: 'm',
    specHash: hash,
    seed: 2n ** 64n - 1n,
    unitsRule: 'tokens/1',
    ...changes,
  })

  it('given answers that are complete together, they are written together, counted without gaps, and signed', async () => {
    const { journal, spend } = await open()
    const rows = await Promise.all(Array.from({ length: 40 }, (_, i) => journal.append(draft(`a${i}`, { user: i % 2 ? alice! : bob! }))))
    for (const user of [alice, bob]) {
      const own = rows.filter((row) => row.user === user)
      expect(own.map(({ sequence }) => sequence)).to.deep.equal(own.map((_, i) => i + 1))
      expect(own.map(({ cumulative_fee }) => cumulative_fee)).to.deep.equal(own.map((_, i) => `${110 * (i + 1)}`))
      expect(spend.unsettled(user!)).to.equal(2200n)
    }
    for (const row of rows) expect(isSignedText(receipts.provable(row).text, row.signature, signing.address)).to.equal(true)
    const stored = await db.selectFrom('answers').selectAll().where('id', '=', 'a0').executeTakeFirstOrThrow()
    expect(stored).to.deep.equal({ ...rows[0], state: 'metered', batch: null })
    expect(receipts.of(stored).seed).to.equal(2n ** 64n - 1n)
  })

  it('given a restart, it counts on from what is on record', async () => {
    const first = await open()
    await first.journal.append(draft('a'))
    const second = await open()
    const row = await second.journal.append(draft('b'))
    expect([row.sequence, row.cumulative_fee, row.key_spend]).to.deep.equal([2, '220', '220'])
    expect(second.spend.unsettled(alice!)).to.equal(220n)
  })

  it('given a new limit of a key, its spend counts anew, also where answers of before are complete later', async () => {
    const { journal } = await open()
    const spends: string[] = []
    for (const epoch of ['0:0', '0:900', '0:0', '0:900']) spends.push((await journal.append(draft(`a${spends.length}`, { epoch }))).key_spend)
    expect(spends).to.deep.equal(['110', '110', '220', '220'])
    const again = await open()
    expect((await again.journal.append(draft('b', { epoch: '0:900' }))).key_spend).to.equal('330')
  })

  it('given a database that takes nothing, nobody is charged, the next are refused, and it goes on by itself without a gap', async () => {
    const { journal, spend } = await open()
    await journal.append(draft('a'))
    await sql`alter table answers add constraint broken check (false) not valid`.execute(db)
    const failed = await Promise.allSettled([journal.append(draft('b')), journal.append(draft('c'))])
    for (const { status } of failed) expect(status).to.equal('rejected')
    await eventually('it has recovered', () => journal.problem() === undefined)
    expect(spend.unsettled(alice!)).to.equal(110n)
    await sql`alter table answers drop constraint broken`.execute(db)
    expect((await journal.append(draft('d'))).sequence).to.equal(2)
  })

  it('given the totals in the tables, what is settled is no longer owed', async () => {
    const { journal, spend } = await open()
    await journal.append(draft('a'))
    await db.updateTable('answers').set({ state: 'settled' }).execute()
    expect((await Spend.load(db)).unsettled(alice!)).to.equal(0n)
    const unwritten = journal.append(draft('b'))
    await spend.refresh([alice!])
    await unwritten
    expect(spend.unsettled(alice!)).to.equal(110n)
    await spend.refresh([alice!])
    expect(spend.unsettled(alice!)).to.equal(110n)
  })

  it('given a reservation, others find less, until it is released', async () => {
    const { spend } = await open()
    const spender = { user: alice!, tokenId: 3, epoch: '0:0' }
    const funds = { free: 100n, keyCap: undefined }
    const release = spend.reserve(spender, 60n, funds, 0n)
    expect(() => spend.reserve(spender, 41n, funds, 0n))
      .to.throw(/may cost/)
      .with.property('status', 402)
    spend.reserve(spender, 40n, funds, 0n)()
    expect(() => spend.reserve(spender, 40n, funds, 1n)).to.throw(/must remain/)
    release()
    spend.reserve(spender, 100n, funds, 0n)
  })

  it('given a key with a cap, what is reserved counts towards it', async () => {
    const { spend } = await open()
    const spender = { user: alice!, tokenId: 3, epoch: '0:5' }
    const funds = { free: 1000n, keyCap: 100n }
    spend.reserve(spender, 60n, funds, 0n)
    expect(() => spend.reserve(spender, 41n, funds, 0n))
      .to.throw(/key 3 may spend/)
      .with.property('code', 'key_limit_reached')
    spend.reserve({ ...spender, epoch: '0:6' }, 41n, funds, 0n)
    spend.reserve({ ...spender, tokenId: 4 }, 41n, funds, 0n)
  })
})

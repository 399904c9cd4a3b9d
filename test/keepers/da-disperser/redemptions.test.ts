import { expect } from 'chai'
import { id, Wallet } from 'ethers'
import type { Kysely } from 'kysely'
import { Promises, type Redemption } from '../../../keepers/da/disperser/promises.ts'
import type { StoredPromise, Tables } from '../../../keepers/da/disperser/schema.ts'
import { openTables } from './tables.ts'

const PAYER = new Wallet(id('payer')).address
const DISPERSER = new Wallet(id('disperser')).address
const ROOT = id('batch')
const BLOB = id('blob')

describe('redemptions of the disperser', function () {
  this.timeout(60_000)
  let tables: Awaited<ReturnType<typeof openTables>>
  let db: Kysely<Tables>
  let promises: Promises

  before(async () => {
    tables = await openTables()
    db = tables.db
    promises = new Promises(db)
    await db
      .insertInto('batches')
      .values({ root: ROOT, epoch: 1, blob_ids: JSON.stringify([BLOB]), call: '0x', block: 10 })
      .execute()
  })
  after(() => tables.close())
  afterEach(() => db.deleteFrom('requests').execute())

  /** A request for the blob, in the certified batch. */
  async function add(request: string, changes: Partial<StoredPromise> = {}): Promise<void> {
    const payment = JSON.stringify({ payer: PAYER, disperser: DISPERSER, fee: '5', nonce: '1', deadline: '100', signature: '0x', ...changes })
    const batched = { state: 'batched' as const, batch: ROOT, leaf: 0, blob_id: BLOB }
    await db
      .insertInto('requests')
      .values({ id: request, length: 1, accepted_at: 0, sponsored: false, payment, ...batched })
      .execute()
  }
  const event = (changes: Partial<Redemption> = {}): Redemption => ({
    blobId: BLOB,
    payer: PAYER,
    disperser: DISPERSER,
    nonce: 1n,
    fee: 5n,
    block: 20,
    ...changes,
  })
  const read = (redemptions: Redemption[], toBlock: number) => db.transaction().execute((trx) => promises.seen(trx, redemptions, toBlock))
  const rollBack = (toBlock: number) => db.transaction().execute((trx) => promises.rollback(trx, toBlock))
  const open = async () => (await promises.redeemableOf(ROOT, 10)).map(({ id }) => id)

  it('given a receipt and then the log, in either order, when both are read, then a promise is redeemed and stays so', async () => {
    await add('receipt first')
    await promises.redeemed(new Map([['receipt first', 'Redeemed']]), 20)
    expect(await read([], 19)).to.deep.equal([])
    expect(await read([event()], 20)).to.deep.equal([])
    expect(await read([], 30)).to.deep.equal([])
    await add('log first', { nonce: '2' })
    expect(await read([event({ nonce: 2n, block: 31 })], 31)).to.deep.equal([])
    await promises.redeemed(new Map([['log first', 'Redeemed']]), 31)
    expect(await read([], 40)).to.deep.equal([])
    expect(await open()).to.deep.equal([])
    expect(await promises.promised(PAYER)).to.equal(0n)
  })

  it('given a reorganisation behind the redemption, when it is rolled back, then it is to be redeemed again; what came before is not', async () => {
    await add('early')
    await add('late', { nonce: '2' })
    await read([event(), event({ nonce: 2n, block: 22 })], 25)
    expect(await rollBack(21)).to.deep.equal(['late'])
    expect(await open()).to.deep.equal(['late'])
    expect(await promises.promised(PAYER)).to.equal(5n)
  })

  it('given a receipt from a block that was undone before its log was read, when the log goes past it, then it is to be redeemed again', async () => {
    await add('vanished')
    await promises.redeemed(new Map([['vanished', 'Redeemed']]), 20)
    expect(await read([], 20)).to.deep.equal(['vanished'])
    expect(await open()).to.deep.equal(['vanished'])
  })

  it('given a refusal in our receipt, when the log goes past it, then it stays until a reorganisation undoes its block', async () => {
    await add('refused')
    await promises.redeemed(new Map([['refused', 'InsufficientBalance']]), 20)
    expect(await read([], 30)).to.deep.equal([])
    expect(await open()).to.deep.equal([])
    expect(await rollBack(19)).to.deep.equal(['refused'])
    expect(await open()).to.deep.equal(['refused'])
  })

  it('given a redemption by somebody else, when its log is read, then there is nothing to redeem; one of another promise changes nothing', async () => {
    const others = [event({ nonce: 2n }), event({ fee: 4n }), event({ disperser: PAYER }), event({ payer: DISPERSER }), event({ blobId: id('other') })]
    await add('ours')
    await read(others, 20)
    expect(await open()).to.deep.equal(['ours'])
    await read([event({ block: 21 })], 21)
    expect(await open()).to.deep.equal([])
  })
})

import { expect } from 'chai'
import { SignerKeys } from '../../../keepers/da/disperser/signer-keys.ts'
import { blsKeyFromBytes } from '../../../protocol/da/bls.ts'
import { IDASigners__factory } from '../../../typechain-types/index.ts'
import { openTables } from './tables.ts'

const signers = IDASigners__factory.createInterface()
const keyOf = (secret: number) => blsKeyFromBytes(Uint8Array.from({ length: 32 }, (_, i) => (i === 31 ? secret : 0)))

describe('keys of signers', function () {
  this.timeout(60_000)
  let tables: Awaited<ReturnType<typeof openTables>>
  const [first, second, third] = [1, 2, 3].map(keyOf) as [ReturnType<typeof keyOf>, ReturnType<typeof keyOf>, ReturnType<typeof keyOf>]

  before(async () => {
    tables = await openTables()
  })
  after(() => tables.close())

  /** The log of a registration. */
  function registered(id: number, { key, keyG2 }: ReturnType<typeof keyOf>) {
    const account = `0x${id.toString(16).padStart(40, '0')}`
    return signers.encodeEventLog('SignerRegistered', [id, account, key, keyG2, 'signer.example:1'])
  }
  const read = (keys: SignerKeys, ...logs: ReturnType<typeof registered>[]) => tables.db.transaction().execute((trx) => keys.apply(trx, logs))
  const never = async () => {
    throw new Error('the log was waited for')
  }

  it('given registrations in the log, when they were read, then keys are there for good, in the order of the members', async () => {
    const left = signers.encodeEventLog('SignerLeft', [1])
    await read(new SignerKeys(tables.db, never), registered(1, first), left, registered(2, second))
    const started = new SignerKeys(tables.db, never)
    const members = [
      { id: 2, key: second.key },
      { id: 1, key: first.key },
    ]
    expect(await started.ofMembers(members)).to.deep.equal([second.keyG2, first.keyG2])
    await read(started, registered(1, first))
    expect(await started.ofMembers(members)).to.deep.equal([second.keyG2, first.keyG2])
  })

  it('given a log that is behind, when the key of a new member is asked for, then it is waited for; one that never registered is named', async () => {
    const keys: SignerKeys = new SignerKeys(tables.db, () => read(keys, registered(3, third)))
    expect(await keys.ofMembers([{ id: 3, key: third.key }])).to.deep.equal([third.keyG2])
    const unknown = await keys.ofMembers([{ id: 4, key: keyOf(4).key }]).catch((error) => error)
    expect(unknown.message).to.contain('the registration of signer 4 is not in the log')
  })
})

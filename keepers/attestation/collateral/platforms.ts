import type { Kysely, Transaction } from 'kysely'
import { ICollateralRegistry__factory } from '../../../typechain-types/index.ts'
import type { LogRange } from '../../runtime/follow.ts'

const events = ICollateralRegistry__factory.createInterface()
const topic = (name: 'PckAdded' | 'IssuerAdded' | 'PckRevoked' | 'IssuerRevoked'): string => events.getEvent(name).topicHash
export const TOPICS = [[topic('PckAdded'), topic('IssuerAdded'), topic('PckRevoked'), topic('IssuerRevoked')]]

/** A certificate that the registry took, or took back: that of a platform, or of an issuer. */
interface CertificateTable {
  block_number: number
  log_index: number
  /** Of its key. */
  id: string
  /** Serial numbers have 160 bits; null when it was revoked. */
  serial: string | null
  /** Of a platform; null for an issuer. */
  fmspc: string | null
  issuer: string | null
}

export interface Tables {
  certificates: CertificateTable
}

export const migrations = {
  '001_certificates': {
    async up(db: Kysely<any>): Promise<void> {
      await db.schema
        .createTable('certificates')
        .addColumn('block_number', 'int8', (column) => column.notNull())
        .addColumn('log_index', 'int4', (column) => column.notNull())
        .addColumn('id', 'text', (column) => column.notNull())
        .addColumn('serial', 'numeric')
        .addColumn('fmspc', 'text')
        .addColumn('issuer', 'text')
        .addPrimaryKeyConstraint('certificates_pk', ['block_number', 'log_index'])
        .execute()
      await db.schema.createIndex('certificates_id').on('certificates').column('id').execute()
    },
  },
}

/** Kind of platforms that are in use: those of one FMSPC, certified by one issuer. */
export interface PlatformKind {
  /** 12 hex digits. */
  fmspc: string
  /** Id of the issuer's key. */
  issuer: string
  /** Id of one of the platforms. */
  example: string
}

/** What the chain relies on: platforms and issuers that were added and not revoked since. */
export class Platforms {
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  async apply(trx: Transaction<Tables>, { logs }: LogRange): Promise<void> {
    for (const log of logs) {
      const event = events.parseLog(log)
      if (!event) continue
      const { blockNumber: block_number, index: log_index } = log
      const id = event.args[0] as string
      const none = { block_number, log_index, id, serial: null, fmspc: null, issuer: null }
      if (event.name === 'PckAdded') {
        const { issuer, fmspc, serial } = event.args
        await trx
          .insertInto('certificates')
          .values({ ...none, serial: String(serial), fmspc: (fmspc as string).slice(2), issuer })
          .execute()
      } else {
        const serial = event.name === 'IssuerAdded' ? String(event.args.serial) : null
        await trx
          .insertInto('certificates')
          .values({ ...none, serial })
          .execute()
      }
    }
  }

  async rollback(trx: Transaction<Tables>, toBlock: number): Promise<void> {
    await trx.deleteFrom('certificates').where('block_number', '>', toBlock).execute()
  }

  async kinds(): Promise<PlatformKind[]> {
    const rows = await this.#inUse()
      .where('fmspc', 'is not', null)
      .groupBy(['fmspc', 'issuer'])
      .select(({ fn }) => ['fmspc', 'issuer', fn.min('id').as('example')])
      .orderBy('fmspc')
      .execute()
    return rows as PlatformKind[]
  }

  /** Serial numbers of what the chain relies on, as revocation lists name them. */
  async serials(): Promise<Set<bigint>> {
    const rows = await this.#inUse().select('serial').execute()
    return new Set(rows.map(({ serial }) => BigInt(serial!)))
  }

  /** Certificates of keys that were not revoked; a revoked key never comes back. */
  #inUse() {
    const revoked = this.#db.selectFrom('certificates').select('id').where('serial', 'is', null)
    return this.#db.selectFrom('certificates').where('serial', 'is not', null).where('id', 'not in', revoked)
  }
}

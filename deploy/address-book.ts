import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'

const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/)

const bookSchema = z.strictObject({
  chainId: z.int().positive(),
  /** Where the contracts are; a proxy's implementation is beside it under its own name. */
  contracts: z.record(z.string(), address),
  /** Contracts that name each other: their addresses follow from the deployer's nonce and are fixed before the first of them exists. */
  planned: z.strictObject({ deployer: address, firstNonce: z.int().nonnegative(), names: z.array(z.string()) }).optional(),
})
export type Plan = NonNullable<z.infer<typeof bookSchema>['planned']>

/** The addresses of one deployment, in a file that is rewritten, whole or not at all, after every contract: an interrupted deployment resumes. */
export class AddressBook {
  readonly #path: string | undefined
  #book: z.infer<typeof bookSchema>

  private constructor(path: string | undefined, book: z.infer<typeof bookSchema>) {
    this.#path = path
    this.#book = book
  }

  /** Opens the book at `path`, or a new one; without a path it is kept in memory. */
  static open(chainId: number, path?: string): AddressBook {
    if (!path || !existsSync(path)) return new AddressBook(path, { chainId, contracts: {} })
    let content: unknown
    try {
      content = JSON.parse(readFileSync(path, 'utf8'))
    } catch (error) {
      throw new Error(`address book ${path}: ${(error as Error).message}`)
    }
    const book = bookSchema.safeParse(content)
    if (!book.success) throw new Error(`address book ${path}: ${z.prettifyError(book.error)}`)
    if (book.data.chainId !== chainId) throw new Error(`address book ${path} is of chain id ${book.data.chainId}, not ${chainId}`)
    return new AddressBook(path, book.data)
  }

  get chainId(): number {
    return this.#book.chainId
  }

  get contracts(): Readonly<Record<string, string>> {
    return this.#book.contracts
  }

  get plan(): Plan | undefined {
    return this.#book.planned
  }

  find(name: string): string | undefined {
    return this.#book.contracts[name]
  }

  /** The address of a contract that must have been deployed. */
  get(name: string): string {
    const found = this.find(name)
    if (!found) throw new Error(`${name} is not in the address book of chain ${this.chainId}${this.#path ? ` (${this.#path})` : ''}: deploy it first`)
    return found
  }

  record(name: string, at: string): void {
    this.#save({ ...this.#book, contracts: { ...this.#book.contracts, [name]: at } })
  }

  setPlan(planned: Plan): void {
    this.#save({ ...this.#book, planned })
  }

  /** The planned contracts exist: from now on they are found under their names. */
  fulfilPlan(contracts: Record<string, string>): void {
    const { planned: _, ...rest } = this.#book
    this.#save({ ...rest, contracts: { ...rest.contracts, ...contracts } })
  }

  #save(book: z.infer<typeof bookSchema>): void {
    this.#book = book
    if (!this.#path) return
    mkdirSync(dirname(this.#path), { recursive: true })
    writeFileSync(`${this.#path}.new`, `${JSON.stringify(book, null, 2)}\n`)
    renameSync(`${this.#path}.new`, this.#path)
  }
}

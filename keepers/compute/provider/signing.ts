import { computeAddress, hexlify, SigningKey } from 'ethers'
import { domainSeparator, idHash, inferenceDomain, modelHash, type Receipt, receiptDigest } from '../../../protocol/compute/receipt.ts'
import { receiptText } from '../../../protocol/compute/receipt-text.ts'
import { signText } from '../../../protocol/compute/signature.ts'
import { unitsRuleHash } from '../../../protocol/compute/units.ts'
import type { AnswerTable } from './tables.ts'

/** What a receipt is made of. */
export type ReceiptRow = Omit<AnswerTable, 'key_epoch' | 'signer' | 'signature' | 'state' | 'batch'>

/** The receipt of an answer, and the two things that are made of it. */
export interface Provable {
  receipt: Receipt
  /** EIP-712. */
  digest: string
  /** What the enclave signs (EIP-191), as the public SDK fetches it. */
  text: string
}

/** What binds receipts to a chain, a contract and a provider. */
export interface ReceiptContext {
  chainId: number
  contract: string
  provider: string
}

/** Makes receipts of rows, also of those that an earlier key signed. */
export class Receipts {
  readonly #provider: string
  readonly #separator: string
  /** Of names that are few and come again and again. */
  readonly #hashes = new Map<string, string>()

  constructor({ chainId, contract, provider }: ReceiptContext) {
    this.#provider = provider
    this.#separator = domainSeparator(inferenceDomain(chainId, contract))
  }

  of(row: ReceiptRow): Receipt {
    return {
      id: idHash(row.id),
      provider: this.#provider,
      user: row.user,
      sequence: row.sequence,
      createdAt: row.created_at,
      tokenId: row.token_id,
      priceVersion: row.price_version,
      inputUnits: BigInt(row.input_units),
      outputUnits: BigInt(row.output_units),
      fee: BigInt(row.fee),
      cumulativeFee: BigInt(row.cumulative_fee),
      keySpend: BigInt(row.key_spend),
      requestHash: row.request_hash,
      responseHash: row.response_hash,
      modelHash: this.#hashOf(row.model, modelHash),
      specHash: row.spec_hash,
      seed: BigInt(row.seed),
      unitsRule: this.#hashOf(row.units_rule, unitsRuleHash),
    }
  }

  #hashOf(name: string, hash: (name: string) => string): string {
    let known = this.#hashes.get(name)
    if (known === undefined) {
      known = hash(name)
      this.#hashes.set(name, known)
    }
    return known
  }

  provable(row: ReceiptRow): Provable {
    const receipt = this.of(row)
    const digest = receiptDigest(this.#separator, receipt)
    const { requestHash, responseHash } = receipt
    return { receipt, digest, text: receiptText({ requestHash, responseHash, receiptHash: digest }) }
  }
}

/** The key of the enclave that vouches for answers. It never leaves this process. */
export class Signing {
  readonly address: string
  readonly key: SigningKey
  readonly #receipts: Receipts

  /** @param secret 32 bytes */
  constructor(secret: Uint8Array, receipts: Receipts) {
    this.key = new SigningKey(hexlify(secret))
    this.address = computeAddress(this.key.publicKey)
    this.#receipts = receipts
  }

  /** EIP-191 over the receipt's text. */
  sign(row: ReceiptRow): string {
    return signText(this.key, this.#receipts.provable(row).text)
  }
}

import { getAddress } from 'ethers'
import { z } from 'zod'
import type { Receipt } from './receipt.ts'

const hash = z.string().regex(/^0x[0-9a-f]{64}$/, '32 bytes in lower-case hex')
const account = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, '20 bytes in hex')
  .transform((address, context) => {
    try {
      return getAddress(address)
    } catch {
      context.addIssue('an address with a wrong checksum')
      return z.NEVER
    }
  })
const uint = (bits: number) =>
  z
    .string()
    .regex(/^(0|[1-9][0-9]{0,38})$/, 'a decimal number in a string')
    .transform(BigInt)
    .refine((value) => value < 2n ** BigInt(bits), `below 2^${bits}`)
const small = (max: number) => z.int().min(0).max(max)

/** A receipt as it is served: amounts and units as decimal strings, everything else as in `Receipt`. Unknown keys are refused. */
export const receiptSchema = z.strictObject({
  id: hash,
  provider: account,
  user: account,
  sequence: small(Number.MAX_SAFE_INTEGER),
  createdAt: small(Number.MAX_SAFE_INTEGER),
  tokenId: small(255),
  priceVersion: small(65_535),
  inputUnits: uint(64),
  outputUnits: uint(64),
  fee: uint(128),
  cumulativeFee: uint(128),
  keySpend: uint(128),
  requestHash: hash,
  responseHash: hash,
  modelHash: hash,
  specHash: hash,
  seed: uint(64),
  unitsRule: hash,
})

export type ReceiptJson = z.input<typeof receiptSchema>

export function receiptToJson(receipt: Receipt): ReceiptJson {
  const { inputUnits, outputUnits, fee, cumulativeFee, keySpend, seed } = receipt
  return {
    ...receipt,
    inputUnits: inputUnits.toString(),
    outputUnits: outputUnits.toString(),
    fee: fee.toString(),
    cumulativeFee: cumulativeFee.toString(),
    keySpend: keySpend.toString(),
    seed: seed.toString(),
  }
}

/** @throws ZodError that names the key which is not as it should be */
export const receiptFromJson = (json: unknown): Receipt => receiptSchema.parse(json)

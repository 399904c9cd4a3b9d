import { getBytes, hexlify, toBeHex } from 'ethers'
import { threadKernel } from '../../codec/keccak/index.ts'
import { checkInteger } from './format-error.ts'
import { chunksOfRow } from './row-path.ts'

/** The seed of round `number`, from the hash of its first block. */
export const roundSeed = (blockHash: string, number: number | bigint): string => packedHash(blockHash, toBeHex(number, 32))

/** The chunk of a row that a round's seed picks. Seed and id are hex of 32 bytes. */
export function pickedChunk(seed: string, blobId: string, row: number, rowSize: number): number {
  return Number(BigInt(packedHash(seed, blobId, uint32(row))) % BigInt(chunksOfRow(rowSize)))
}

/** How good a holder's answer is: it wins at or below the round's target. */
export function qualityOf(seed: string, account: string, blobId: string, row: number, chunk: Uint8Array): bigint {
  return BigInt(packedHash(seed, account, blobId, uint32(row), chunk))
}

/** keccak256 of values one after the other. By the kernel and by bytes: many are made in a round, and hex of a chunk costs more than its hash. */
const packedHash = (...values: (string | Uint8Array)[]): string => hexlify(threadKernel().keccak256(Buffer.concat(values.map((value) => getBytes(value)))))

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(checkInteger(value, 0, 0xffff_ffff, 'the row'))
  return bytes
}

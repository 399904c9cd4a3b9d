import { type AddressLike, id } from 'ethers'
import type { SubmissionDataStruct, SubmissionStruct } from '../../../typechain-types/contracts/storage/Flow.ts'

export const SUBMIT = 'submit(((uint256,bytes,(bytes32,uint256)[]),address))'
export const SUBMIT_LEGACY = 'submit((uint256,bytes,(bytes32,uint256)[]))'
export const BATCH_SUBMIT = 'batchSubmit(((uint256,bytes,(bytes32,uint256)[]),address)[])'
export const BATCH_SUBMIT_LEGACY = 'batchSubmit((uint256,bytes,(bytes32,uint256)[])[])'

export const sectorsOf = (heights: number[]) => heights.reduce((sum, height) => sum + 2n ** BigInt(height), 0n)

let roots = 0

/** Made-up nodes of these heights, every root different, and the longest file that needs them. */
export function dataOf(heights: number[], length: bigint = 256n * sectorsOf(heights)): SubmissionDataStruct {
  return { length, tags: '0x', nodes: heights.map((height) => ({ root: id(`node ${roots++}`), height })) }
}

export function submissionOf(heights: number[], submitter: AddressLike, length?: bigint): SubmissionStruct {
  return { data: dataOf(heights, length), submitter }
}

import { blobIdOf } from '../../protocol/da/blob.ts'
import { CODES, MAX_BLOB_BYTES, shapeFor } from '../../protocol/da/codes.ts'
import { PerigeeError } from '../errors.ts'
import { type DownloadResult, downloadBytes } from '../storage/download.ts'
import type { HolderOptions } from '../storage/holders.ts'
import { type UploadOptions, type UploadResult, upload } from '../storage/upload.ts'
import { encode } from './put.ts'
import type { DaReader } from './reader.ts'

/** Stores a blob's bytes in storage, where they outlive the retention of signers. Its submission is tagged with the blob's id. */
export function persistBlob(blobId: string, bytes: Uint8Array, options: Omit<UploadOptions, 'tags' | 'encryption'>): Promise<UploadResult> {
  return upload(bytes, { ...options, tags: blobId })
}

/**
 * Fetches a blob that was anchored, and proves that it is the one: its bytes are encoded again and must give the blob's id.
 * @throws PerigeeError NOT_FOUND when nobody holds the file, VERIFICATION_FAILED when it is another blob
 */
export async function retrieveFromStorage(
  { codec }: Pick<DaReader, 'codec'>,
  blobId: string,
  root: string,
  options: HolderOptions & { onProgress?: (done: number, total: number) => void },
): Promise<DownloadResult & { bytes: Uint8Array }> {
  const result = await downloadBytes(root, { ...options, maxSize: MAX_BLOB_BYTES })
  // Which code it was published in depended on the epoch; the smallest that holds it is the likeliest.
  for (const { index } of CODES.filter(({ k, maxRowSize }) => result.size <= k * maxRowSize)) {
    if (blobIdOf(await encode({ codec }, result.bytes, shapeFor(result.size, 1 << index))) === blobId) return result
  }
  throw new PerigeeError('VERIFICATION_FAILED', `the file ${root} is not the blob ${blobId}`)
}

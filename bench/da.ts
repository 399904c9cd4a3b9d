import { codecRows } from './da/codec.ts'
import { networkRows, processRows } from './da/network.ts'
import type { Row } from './report.ts'

export const about = 'data availability: encoding, recovering and verifying blobs, and what a local network certifies'

export async function rows(progress: (what: string) => void): Promise<Row[]> {
  return [...(await codecRows(progress)), ...(await networkRows(progress)), ...(await processRows(progress))]
}

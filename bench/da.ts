import { codecRows } from './da/codec.ts'
import type { Row } from './report.ts'

export const about = 'data availability: encoding, recovering and verifying blobs'

export async function rows(progress: (what: string) => void): Promise<Row[]> {
  return await codecRows(progress)
}

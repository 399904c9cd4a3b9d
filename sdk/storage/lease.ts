import { isCallException } from 'ethers'
import { chainError, type StorageContracts } from '../contracts.ts'

/** Identifies a submission to the market; in sectors of 256 bytes. */
export interface LeasedSubmission {
  seq: number
  startSector: number
  sectors: number
}

/** Unix seconds until which a submission is paid for; undefined where the market knows no leases and keeps what it was paid for. */
export async function leaseEnd({ market }: Pick<StorageContracts, 'market'>, { seq, startSector, sectors }: LeasedSubmission): Promise<number | undefined> {
  try {
    return Number(await market.leaseOf(seq, startSector, sectors))
  } catch (error) {
    if (isCallException(error)) return undefined
    throw chainError('reading a lease', error)
  }
}

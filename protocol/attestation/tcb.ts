/** How up to date a platform is, judged by its versions. Source: Intel's API for TCB info and QE identity, version 4. */
import { CollateralError, type TcbInfo, type TcbStatus } from './collateral.ts'
import type { Platform } from './pck.ts'
import type { Quote, SgxReport, TdReport } from './quote.ts'

/** What is known of something at its versions. */
export interface Standing {
  status: TcbStatus
  advisories: string[]
}

interface Level<Tcb> {
  tcb: Tcb
  tcbStatus: TcbStatus
  advisoryIDs: string[]
}

/** The first level, the best being first, whose every version the platform has reached. */
export function platformStanding(quote: Quote, platform: Platform, info: TcbInfo): Standing {
  const reached = info.tcbLevels.find(
    ({ tcb }) =>
      tcb.sgxtcbcomponents.every(({ svn }, i) => platform.components[i]! >= svn) &&
      platform.pceSvn >= tcb.pcesvn &&
      (quote.tee === 'sgx' || reachesTdx(quote.report.teeTcbSvn, tcb.tdxtcbcomponents)),
  )
  if (!reached) throw new CollateralError(`versions ${versions(quote, platform)} are below every level that is known`)
  return standing(reached)
}

/**
 * A TDX module of major version 1 and above (byte 1) counts its security version (byte 0) for itself, and its module identity judges it: then
 * the levels of the platform speak of bytes 2 to 15 only.
 */
function reachesTdx(teeTcbSvn: Uint8Array, required: { svn: number }[] | undefined): boolean {
  if (!required) return false
  const from = teeTcbSvn[1]! > 0 ? 2 : 0
  return required.every(({ svn }, i) => i < from || teeTcbSvn[i]! >= svn)
}

/** The module must be one of Intel's, by its signer and attributes; which of its versions is how good is said of major version 1 and above. */
export function moduleStanding(report: TdReport, info: TcbInfo): Standing {
  const [isvSvn, major] = [report.teeTcbSvn[0]!, report.teeTcbSvn[1]!]
  const id = `TDX_${major.toString(16).toUpperCase().padStart(2, '0')}`
  const identity = info.tdxModuleIdentities.find((candidate) => candidate.id.toUpperCase() === id)
  const expected = major > 0 ? identity : info.tdxModule
  if (!expected) throw new CollateralError(`the TCB info knows no TDX module ${id}`)
  if (Buffer.compare(report.mrSignerSeam, expected.mrsigner) !== 0)
    throw new CollateralError('the TDX module was signed by somebody else than the TCB info says')
  if (!matches(report.seamAttributes, expected.attributes, expected.attributesMask))
    throw new CollateralError('the TDX module has other attributes than the TCB info says')
  return major > 0 ? isvStanding(isvSvn, identity!.tcbLevels, `TDX module ${id}`) : { status: 'UpToDate', advisories: [] }
}

/** The first level whose security version is reached. */
export function isvStanding(isvSvn: number, levels: Level<{ isvsvn: number }>[], what: string): Standing {
  const reached = levels.find(({ tcb }) => isvSvn >= tcb.isvsvn)
  if (!reached) throw new CollateralError(`version ${isvSvn} of the ${what} is below every level that is known`)
  return standing(reached)
}

/** All of what must hold for the whole: each concern of a part is one of the whole. Agrees with Intel's table for a platform and its enclaves. */
export function combined(standings: Standing[]): Standing {
  const has = (concern: RegExp) => standings.some(({ status }) => concern.test(status))
  const advisories = [...new Set(standings.flatMap((part) => part.advisories))]
  const configuration = has(/Configuration/)
  if (has(/Revoked/)) return { status: 'Revoked', advisories }
  if (has(/OutOfDate/)) return { status: configuration ? 'OutOfDateConfigurationNeeded' : 'OutOfDate', advisories }
  if (has(/SWHardening/)) return { status: configuration ? 'ConfigurationAndSWHardeningNeeded' : 'SWHardeningNeeded', advisories }
  return { status: configuration ? 'ConfigurationNeeded' : 'UpToDate', advisories }
}

/** Whether `actual` is `expected` in every bit of `mask`. */
export function matches(actual: Uint8Array, expected: Uint8Array, mask: Uint8Array): boolean {
  return actual.every((byte, i) => (byte & mask[i]!) === (expected[i]! & mask[i]!))
}

/** SGX: an enclave whose memory a debugger can read. */
export const isDebuggable = ({ attributes }: SgxReport): boolean => (attributes[0]! & 0x02) !== 0

const standing = ({ tcbStatus, advisoryIDs }: Level<unknown>): Standing => ({ status: tcbStatus, advisories: advisoryIDs })

function versions(quote: Quote, platform: Platform): string {
  const tdx = quote.tee === 'tdx' ? `, TDX ${quote.report.teeTcbSvn.join('.')}` : ''
  return `SGX ${platform.components.join('.')}, PCE ${platform.pceSvn}${tdx}`
}

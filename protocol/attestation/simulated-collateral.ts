/** What Intel would publish of the simulated platform: its TCB levels, and the identity of its quoting enclave. */
import { createHash } from 'node:crypto'
import type { TcbStatus } from './collateral.ts'

/** The simulated platform's versions, all at their newest level. */
export const PLATFORM = {
  components: [2, 2, 2, 2, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0],
  pceSvn: 13,
  /** Module security version 6 of major version 1, then the platform's TDX components. */
  teeTcbSvn: [6, 1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
}

/** The simulated quoting enclave. */
export const QE = {
  mrSigner: createHash('sha256').update('simulated quoting enclave: signer').digest(),
  mrEnclave: createHash('sha256').update('simulated quoting enclave: code').digest(),
  isvProdId: 2,
  isvSvn: 4,
  /** INIT, MODE64BIT and PROVISION_KEY; then XFRM. */
  attributes: Buffer.from('1500000000000000e700000000000000', 'hex'),
}

interface Signed {
  issueDate: string
  nextUpdate: string
  tcbEvaluationDataNumber: number
}

interface Level<Tcb> {
  tcb: Tcb
  tcbDate: string
  tcbStatus: TcbStatus
  advisoryIDs?: string[]
}

/** TCB info, version 3, in the order of keys in which Intel signs it. */
export interface TcbInfoText extends Signed {
  id: string
  version: number
  fmspc: string
  pceId: string
  tcbType: number
  tdxModule?: { mrsigner: string; attributes: string; attributesMask: string }
  tdxModuleIdentities?: { id: string; mrsigner: string; attributes: string; attributesMask: string; tcbLevels: Level<{ isvsvn: number }>[] }[]
  tcbLevels: Level<{ sgxtcbcomponents: { svn: number }[]; pcesvn: number; tdxtcbcomponents?: { svn: number }[] }>[]
}

/** Identity of a quoting enclave, version 2. */
export interface QeIdentityText extends Signed {
  id: string
  version: number
  miscselect: string
  miscselectMask: string
  attributes: string
  attributesMask: string
  mrsigner: string
  isvprodid: number
  tcbLevels: Level<{ isvsvn: number }>[]
}

interface Issue {
  issueDate: string
  nextUpdate: string
  evaluation: number
}

const TCB_DATE = '2025-01-01T00:00:00Z'
const OLD_TCB_DATE = '2023-01-01T00:00:00Z'
const INTEL_SEAM = { mrsigner: '0'.repeat(96), attributes: '0'.repeat(16), attributesMask: 'F'.repeat(16) }

/** `status` and `advisories` are those of the level the simulated platform is at. */
export function tcbInfo(issue: Issue & { platform: { fmspc: Uint8Array; pceId: Uint8Array }; status: TcbStatus; advisories: string[] }): TcbInfoText {
  const svns = (versions: number[]) => versions.map((svn) => ({ svn }))
  const advisories = issue.advisories.length > 0 ? { advisoryIDs: issue.advisories } : {}
  // Of the module the components say the 1.0 line only; later lines (major version above 0) have identities of their own.
  const components = PLATFORM.teeTcbSvn.with(0, 5).with(1, 0)
  return {
    id: 'TDX',
    version: 3,
    issueDate: issue.issueDate,
    nextUpdate: issue.nextUpdate,
    fmspc: upperHex(issue.platform.fmspc),
    pceId: upperHex(issue.platform.pceId),
    tcbType: 0,
    tcbEvaluationDataNumber: issue.evaluation,
    tdxModule: INTEL_SEAM,
    tdxModuleIdentities: [
      {
        id: 'TDX_01',
        ...INTEL_SEAM,
        tcbLevels: [
          { tcb: { isvsvn: 6 }, tcbDate: TCB_DATE, tcbStatus: 'UpToDate' },
          { tcb: { isvsvn: 2 }, tcbDate: OLD_TCB_DATE, tcbStatus: 'OutOfDate' },
        ],
      },
    ],
    tcbLevels: [
      {
        tcb: { sgxtcbcomponents: svns(PLATFORM.components), pcesvn: PLATFORM.pceSvn, tdxtcbcomponents: svns(components) },
        tcbDate: TCB_DATE,
        tcbStatus: issue.status,
        ...advisories,
      },
      {
        tcb: { sgxtcbcomponents: svns(PLATFORM.components.map(() => 0)), pcesvn: 5, tdxtcbcomponents: svns(components.map(() => 0)) },
        tcbDate: OLD_TCB_DATE,
        tcbStatus: 'OutOfDate',
        advisoryIDs: ['INTEL-SA-00000'],
      },
    ],
  }
}

export function qeIdentity(issue: Issue): QeIdentityText {
  return {
    id: 'TD_QE',
    version: 2,
    issueDate: issue.issueDate,
    nextUpdate: issue.nextUpdate,
    tcbEvaluationDataNumber: issue.evaluation,
    miscselect: '00000000',
    miscselectMask: 'FFFFFFFF',
    attributes: '11000000000000000000000000000000',
    attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
    mrsigner: upperHex(QE.mrSigner),
    isvprodid: QE.isvProdId,
    tcbLevels: [{ tcb: { isvsvn: QE.isvSvn }, tcbDate: TCB_DATE, tcbStatus: 'UpToDate' }],
  }
}

const upperHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').toUpperCase()

/**
 * A TEE for development: a PKI in the shape of Intel's and a platform that signs quotes under it, byte-exact TDX v4 and v5.
 *
 * What it says of the code that runs is whatever the caller says: it proves nothing, and is made so that nobody mistakes it. Its root is its own
 * (verifiers pin Intel's unless told otherwise, and a verifier contract accepts another only on a local chain), the subjects of its certificates
 * say "SIMULATED TEE - DEVELOPMENT ONLY", and the platform's fmspc begins with de00, which no processor has.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import type { Collateral, TcbStatus } from './collateral.ts'
import { certificate, type Issuer, type PlatformClaims, pem, revocationList, type Validity } from './simulated-certificates.ts'
import { PLATFORM, type QeIdentityText, qeIdentity, type TcbInfoText, tcbInfo } from './simulated-collateral.ts'
import { type QuoteKeys, type SimulatedQuoteOptions, simulatedQuote } from './simulated-quote.ts'

const ROLES = ['root', 'platformCa', 'tcbSigner', 'pck', 'attestation'] as const
type Role = (typeof ROLES)[number]
type Certified = Exclude<Role, 'attestation'>

const COMMON_NAMES: Record<Certified, string> = {
  root: 'Simulated SGX Root CA',
  platformCa: 'Simulated SGX PCK Platform CA',
  tcbSigner: 'Simulated SGX TCB Signing',
  pck: 'Simulated SGX PCK Certificate',
}
const CERTIFIED = Object.keys(COMMON_NAMES) as Certified[]
/** Serial of a platform that was revoked long ago, so that a revocation list is never empty. */
const REVOKED_PLATFORM = createHash('sha1').update('a revoked simulated platform').digest()
const DAY = 86_400_000

export interface SimulatedPkiOptions {
  /** 12 hex digits; must begin with de00. */
  fmspc?: string
  /** Of all its certificates; 2020 through 2049 unless given. */
  validity?: Validity
}

/** How collateral departs from that of a platform in good order. */
export interface CollateralChanges {
  /** Of the level the platform is at. */
  tcbStatus?: TcbStatus
  advisories?: string[]
  tcbEvaluationDataNumber?: number
  revoked?: Exclude<Certified, 'root'>[]
  /** Change what Intel would sign, before it is signed. */
  editTcbInfo?: (info: TcbInfoText) => void
  editQeIdentity?: (identity: QeIdentityText) => void
}

/** What `toJSON` writes: everything, private keys included. Values are base64 of DER. */
export interface SimulatedPkiJson {
  warning: string
  fmspc: string
  keys: Record<Role, string>
  certificates: Record<Certified, string>
}

/** Makes a PKI with fresh keys. */
export function createSimulatedPki(options: SimulatedPkiOptions = {}): SimulatedPki {
  const fmspc = (options.fmspc ?? 'de0000000000').toLowerCase()
  if (!/^de00[0-9a-f]{8}$/.test(fmspc)) throw new RangeError(`fmspc ${fmspc} is not that of a simulated platform: 12 hex digits that begin with de00`)
  const keys = record(ROLES, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
  const validity = options.validity ?? { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter: new Date('2049-12-31T23:59:59Z') }
  const identity = (role: Certified): Issuer => ({ commonName: COMMON_NAMES[role], key: keys[role] })
  const issue = (role: Certified, by: Certified, kind: { pathLength?: number; platform?: PlatformClaims }) =>
    certificate({ serial: serial(), issuer: identity(by), subject: identity(role), validity, ...kind })
  return new SimulatedPki(fmspc, keys, {
    root: issue('root', 'root', { pathLength: 1 }),
    platformCa: issue('platformCa', 'root', { pathLength: 0 }),
    tcbSigner: issue('tcbSigner', 'root', {}),
    pck: issue('pck', 'platformCa', { platform: platformClaims(fmspc) }),
  })
}

export class SimulatedPki {
  readonly fmspc: string
  /** DER. */
  readonly certificates: Readonly<Record<Certified, Uint8Array>>
  readonly #keys: Record<Role, KeyObject>

  constructor(fmspc: string, keys: Record<Role, KeyObject>, certificates: Record<Certified, Uint8Array>) {
    this.fmspc = fmspc
    this.certificates = certificates
    this.#keys = keys
  }

  static fromJSON(json: SimulatedPkiJson): SimulatedPki {
    const der = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'))
    const keys = record(ROLES, (role) => createPrivateKey({ key: Buffer.from(json.keys[role], 'base64'), format: 'der', type: 'pkcs8' }))
    return new SimulatedPki(
      json.fmspc,
      keys,
      record(CERTIFIED, (role) => der(json.certificates[role])),
    )
  }

  toJSON(): SimulatedPkiJson {
    return {
      warning: 'Keys of a simulated TEE, for development only: whoever has them can forge any quote under this root.',
      fmspc: this.fmspc,
      keys: record(ROLES, (role) => this.#keys[role].export({ format: 'der', type: 'pkcs8' }).toString('base64')),
      certificates: record(CERTIFIED, (role) => Buffer.from(this.certificates[role]).toString('base64')),
    }
  }

  /** DER: the root to verify under. */
  get rootCertificate(): Uint8Array {
    return this.certificates.root
  }

  /** 64 bytes, x ‖ y: the key that signs quotes. */
  get attestationKey(): Uint8Array {
    return publicPoint(this.#keys.attestation)
  }

  /** Collateral issued a day before `now`, valid for 30 days (the root's revocation list for a year). */
  collateral(now: Date, changes: CollateralChanges = {}): Collateral {
    const issued = new Date(Math.floor(now.getTime() / 1000) * 1000 - DAY)
    const after = (days: number) => new Date(issued.getTime() + days * DAY)
    const window = { issueDate: isoSeconds(issued), nextUpdate: isoSeconds(after(30)), evaluation: changes.tcbEvaluationDataNumber ?? 18 }
    const info = tcbInfo({ ...window, platform: platformClaims(this.fmspc), status: changes.tcbStatus ?? 'UpToDate', advisories: changes.advisories ?? [] })
    changes.editTcbInfo?.(info)
    const identity = qeIdentity(window)
    changes.editQeIdentity?.(identity)

    const revoked = changes.revoked ?? []
    const serials = (roles: Certified[]) => roles.filter((role) => revoked.some((other) => other === role)).map((role) => serialOf(this.certificates[role]))
    const list = (issuer: Certified, days: number, serials: Uint8Array[]) =>
      Buffer.from(
        revocationList({
          issuer: { commonName: COMMON_NAMES[issuer], key: this.#keys[issuer] },
          thisUpdate: issued,
          nextUpdate: after(days),
          revoked: serials,
        }),
      ).toString('hex')
    const signedText = (value: unknown) => {
      const text = JSON.stringify(value)
      return { text, signature: signRaw(Buffer.from(text), this.#keys.tcbSigner).toString('hex') }
    }
    const chain = (...roles: Certified[]) => roles.map((role) => pem(this.certificates[role])).join('')
    const [tcb, qe] = [signedText(info), signedText(identity)]
    return {
      pck_crl_issuer_chain: chain('platformCa', 'root'),
      root_ca_crl: list('root', 365, serials(['platformCa', 'tcbSigner'])),
      pck_crl: list('platformCa', 30, [REVOKED_PLATFORM, ...serials(['pck'])]),
      tcb_info_issuer_chain: chain('tcbSigner', 'root'),
      tcb_info: tcb.text,
      tcb_info_signature: tcb.signature,
      qe_identity_issuer_chain: chain('tcbSigner', 'root'),
      qe_identity: qe.text,
      qe_identity_signature: qe.signature,
    }
  }

  /** A quote over `reportData`, signed by this platform. */
  quote(options: SimulatedQuoteOptions): Uint8Array {
    const { pck, platformCa, root } = this.certificates
    const keys: QuoteKeys = { attestationKey: this.attestationKey, sign: (bytes, by) => signRaw(bytes, this.#keys[by]) }
    return simulatedQuote(options, keys, Buffer.from(`${[pck, platformCa, root].map(pem).join('')}\0`))
  }
}

function platformClaims(fmspc: string): PlatformClaims {
  const ppid = createHash('sha256').update('simulated platform').digest().subarray(0, 16)
  return { ppid, fmspc: Buffer.from(fmspc, 'hex'), pceId: new Uint8Array(2), components: PLATFORM.components, pceSvn: PLATFORM.pceSvn }
}

/** 20 bytes, positive and without a leading zero, as Intel's. */
function serial(): Uint8Array {
  const bytes = randomBytes(20)
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return bytes
}

const serialOf = (certificate: Uint8Array) => Buffer.from(new X509Certificate(certificate).serialNumber, 'hex')

function publicPoint(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-64))
}

const signRaw = (bytes: Uint8Array, key: KeyObject): Buffer => sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })

const isoSeconds = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`

function record<K extends string, V>(keys: readonly K[], value: (key: K) => V): Record<K, V> {
  return Object.fromEntries(keys.map((key) => [key, value(key)])) as Record<K, V>
}

/** What whoever has the keys of the simulated PKI can sign beside what its tools make: evidence that only one check stands against. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { concat, dataSlice, getBytes, hexlify } from 'ethers'
import { certificate, type PlatformClaims, revocationList, type Validity } from '../../../protocol/attestation/simulated-certificates.ts'
import { PLATFORM } from '../../../protocol/attestation/simulated-collateral.ts'
import type { SimulatedPki } from '../../../protocol/attestation/simulated-tee.ts'
import { keyId, publicPoint } from '../../../sdk/attestation/publish-collateral.ts'

type Role = keyof ReturnType<SimulatedPki['toJSON']>['keys']

export const NAMES = {
  root: 'Simulated SGX Root CA',
  platformCa: 'Simulated SGX PCK Platform CA',
  tcbSigner: 'Simulated SGX TCB Signing',
  pck: 'Simulated SGX PCK Certificate',
}
export const ALWAYS: Validity = { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter: new Date('2049-12-31T23:59:59Z') }

export function keyOf(pki: SimulatedPki, role: Role): KeyObject {
  return createPrivateKey({ key: Buffer.from(pki.toJSON().keys[role], 'base64'), format: 'der', type: 'pkcs8' })
}

export const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
export const publicKey = (key: KeyObject): { id: string; key: string } => {
  const point = createPublicKey(key)
  return { id: keyId(point), key: hexlify(publicPoint(point)) }
}

/** r ‖ s. */
export const signRaw = (bytes: string, key: KeyObject): string => hexlify(sign('sha256', getBytes(bytes), { key, dsaEncoding: 'ieee-p1363' }))

const platformClaims: PlatformClaims = {
  ppid: new Uint8Array(16),
  fmspc: Buffer.from('de0000000000', 'hex'),
  pceId: new Uint8Array(2),
  components: PLATFORM.components,
  pceSvn: PLATFORM.pceSvn,
}

export interface CertificateOptions {
  by: KeyObject
  byName?: string
  key?: KeyObject
  name?: string
  serial?: number
  validity?: Validity
  /** A CA. */
  isAuthority?: boolean
  /** A platform. */
  platform?: Partial<PlatformClaims>
}

export function makeCertificate({ by, byName, key = newKey(), name, serial = 77, validity = ALWAYS, isAuthority, platform }: CertificateOptions): string {
  return hexlify(
    certificate({
      serial: Uint8Array.of(serial),
      issuer: { commonName: byName ?? (platform ? NAMES.platformCa : NAMES.root), key: by },
      subject: { commonName: name ?? (platform ? NAMES.pck : isAuthority ? NAMES.platformCa : NAMES.tcbSigner), key },
      validity,
      ...(isAuthority && { pathLength: 0 }),
      ...(platform && { platform: { ...platformClaims, ...platform } }),
    }),
  )
}

export interface CrlOptions {
  by: KeyObject
  name: string
  thisUpdate: Date
  nextUpdate: Date
  revoked?: number[]
}

export function makeCrl({ by, name, thisUpdate, nextUpdate, revoked = [] }: CrlOptions): string {
  const serials = revoked.map((serial) => Uint8Array.of(serial))
  return hexlify(revocationList({ issuer: { commonName: name, key: by }, thisUpdate, nextUpdate, revoked: serials }))
}

/** A quote, cut behind its attestation key, with other signed bytes that the attestation key signs, too. */
export function requoted(pki: SimulatedPki, quote: string, edit: (signed: Uint8Array) => Uint8Array): string {
  const end = getBytes(quote).length - 132
  const signed = hexlify(edit(getBytes(dataSlice(quote, 0, end)).slice()))
  return concat([signed, dataSlice(quote, end, end + 4), signRaw(signed, keyOf(pki, 'attestation')), dataSlice(quote, end + 68)])
}

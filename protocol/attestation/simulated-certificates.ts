/** Certificates and revocation lists in the shape Intel's PKI issues them, for the simulated TEE: X.509 v3, P-256, ecdsa-with-SHA256. */
import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto'
import {
  Boolean as Asn1Boolean,
  Set as Asn1Set,
  type AsnType,
  BitString,
  Constructed,
  Enumerated,
  fromBER,
  GeneralizedTime,
  Integer,
  ObjectIdentifier,
  OctetString,
  Primitive,
  Sequence,
  UTCTime,
  Utf8String,
} from 'asn1js'

export const SIMULATED_ORGANISATION = 'SIMULATED TEE - DEVELOPMENT ONLY'
/** Intel's extension of PCK certificates: 1.2.840.113741.1.13.1. */
const SGX = '1.2.840.113741.1.13.1'

/** Whoever signs: a name and a private key. */
export interface Issuer {
  commonName: string
  key: KeyObject
}

export interface Validity {
  notBefore: Date
  notAfter: Date
}

/** What the certificate of a platform (PCK) says of it. */
export interface PlatformClaims {
  /** 16 bytes. */
  ppid: Uint8Array
  /** 6 bytes: family, model, stepping and more of the processor. */
  fmspc: Uint8Array
  /** 2 bytes. */
  pceId: Uint8Array
  /** 16 component versions; as bytes they are the CPU SVN. */
  components: number[]
  pceSvn: number
}

/** DER of a certificate for `subject`'s key. `pathLength` makes it one of an authority, `platform` one of a PCK. */
export function certificate(options: {
  serial: Uint8Array
  issuer: Issuer
  subject: Issuer
  validity: Validity
  pathLength?: number
  platform?: PlatformClaims
}): Uint8Array {
  const { issuer, subject, validity, pathLength, platform } = options
  const isAuthority = pathLength !== undefined
  const extensions = [
    authorityKeyIdentifier(issuer.key),
    extension('2.5.29.14', false, octets(keyIdentifier(subject.key))),
    extension('2.5.29.15', true, isAuthority ? keyUsage(0x06, 1) : keyUsage(0xc0, 6)),
    extension('2.5.29.19', true, sequence(...(isAuthority ? [new Asn1Boolean({ value: true }), new Integer({ value: pathLength })] : []))),
    ...(platform ? [extension(SGX, false, sgxExtension(platform))] : []),
  ]
  return signed(issuer.key, [
    tagged(0, new Integer({ value: 2 })),
    serialNumber(options.serial),
    ecdsaWithSha256(),
    name(issuer.commonName),
    sequence(time(validity.notBefore), time(validity.notAfter)),
    name(subject.commonName),
    fromBER(createPublicKey(subject.key).export({ type: 'spki', format: 'der' })).result,
    tagged(3, sequence(...extensions)),
  ])
}

/** DER of a revocation list, version 2. */
export function revocationList(options: { issuer: Issuer; thisUpdate: Date; nextUpdate: Date; revoked: Uint8Array[] }): Uint8Array {
  const { issuer, thisUpdate, nextUpdate, revoked } = options
  const reason = () => sequence(extension('2.5.29.21', false, new Enumerated({ value: 1 })))
  const entries = revoked.map((serial) => sequence(serialNumber(serial), time(thisUpdate), reason()))
  return signed(issuer.key, [
    new Integer({ value: 1 }),
    ecdsaWithSha256(),
    name(issuer.commonName),
    time(thisUpdate),
    time(nextUpdate),
    ...(entries.length > 0 ? [sequence(...entries)] : []),
    tagged(0, sequence(extension('2.5.29.20', false, new Integer({ value: 1 })), authorityKeyIdentifier(issuer.key))),
  ])
}

export function pem(der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g)!
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function signed(key: KeyObject, content: AsnType[]): Uint8Array {
  const toBeSigned = sequence(...content)
  const signature = sign('sha256', der(toBeSigned), key)
  return der(sequence(toBeSigned, ecdsaWithSha256(), new BitString({ valueHex: signature })))
}

function sgxExtension({ ppid, fmspc, pceId, components, pceSvn }: PlatformClaims): Sequence {
  const entry = (path: string, value: AsnType) => sequence(new ObjectIdentifier({ value: `${SGX}.${path}` }), value)
  const svn = (path: number, value: number) => entry(`2.${path}`, new Integer({ value }))
  const tcb = sequence(...components.map((value, i) => svn(i + 1, value)), svn(17, pceSvn), entry('2.18', octets(Uint8Array.from(components))))
  const yes = () => new Asn1Boolean({ value: true })
  const configuration = sequence(entry('7.1', yes()), entry('7.2', new Asn1Boolean({ value: false })), entry('7.3', yes()))
  const scalable = new Enumerated({ value: 1 })
  const instance = octets(ppid) // another 16 random bytes on real platforms; nothing reads it
  const parts = [octets(ppid), tcb, octets(pceId), octets(fmspc), scalable, instance, configuration]
  return sequence(...parts.map((part, i) => entry(`${i + 1}`, part)))
}

function authorityKeyIdentifier(key: KeyObject): Sequence {
  return extension('2.5.29.35', false, sequence(new Primitive({ idBlock: { tagClass: 3, tagNumber: 0 }, valueHex: keyIdentifier(key) })))
}

function keyIdentifier(key: KeyObject): Uint8Array<ArrayBuffer> {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  return new Uint8Array(createHash('sha1').update(spki.subarray(-65)).digest())
}

function name(commonName: string): Sequence {
  const part = (type: string, text: string) => new Asn1Set({ value: [sequence(new ObjectIdentifier({ value: type }), new Utf8String({ value: text }))] })
  return sequence(part('2.5.4.3', commonName), part('2.5.4.10', SIMULATED_ORGANISATION))
}

/** RFC 5280: UTCTime through 2049, GeneralizedTime after. */
function time(date: Date): UTCTime | GeneralizedTime {
  return date.getUTCFullYear() < 2050 ? new UTCTime({ valueDate: date }) : new GeneralizedTime({ valueDate: date })
}

const der = (value: AsnType) => new Uint8Array(value.toBER())
const sequence = (...value: AsnType[]) => new Sequence({ value })
const octets = (bytes: Uint8Array) => new OctetString({ valueHex: new Uint8Array(bytes) })
const tagged = (tagNumber: number, value: AsnType) => new Constructed({ idBlock: { tagClass: 3, tagNumber }, value: [value] })
const ecdsaWithSha256 = () => sequence(new ObjectIdentifier({ value: '1.2.840.10045.4.3.2' }))
const keyUsage = (bits: number, unusedBits: number) => new BitString({ valueHex: Uint8Array.of(bits), unusedBits })
const serialNumber = (serial: Uint8Array) => Integer.fromBigInt(`0x${Buffer.from(serial).toString('hex')}`)

function extension(type: string, critical: boolean, value: AsnType): Sequence {
  const flag = critical ? [new Asn1Boolean({ value: true })] : []
  return sequence(new ObjectIdentifier({ value: type }), ...flag, octets(der(value)))
}

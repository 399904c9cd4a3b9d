import { hexlify, Interface, isCallException, keccak256, type Provider, zeroPadValue } from 'ethers'
import { parseQuote, type Quote } from '../../protocol/attestation/quote.ts'
import { signerReportData } from '../../protocol/attestation/report-data.ts'
import { type ICollateralRegistry, ICollateralRegistry__factory, IQuoteVerifier__factory, ITeeSignerRegistry__factory } from '../../typechain-types/index.ts'
import { PerigeeError } from '../errors.ts'
import type { CollateralSource } from './collateral-source.ts'
import { collateralFor, platformCertificates } from './platform.ts'
import { keyId, missingCollateral, pointId, publicPoint } from './publish-collateral.ts'
import type { Tee } from './tee.ts'

/** A transaction to send; `key` names the intent. Keepers pass their sender's `send`, others a wallet's. */
export type Send = (transaction: { key: string; to: string; data: string }) => Promise<unknown>

export interface RegistrationOptions {
  tee: Tee
  /** What signs receipts and settlements: its key is in the TEE. */
  signer: string
  /** 32 bytes in hex: an X25519 public key, to encrypt to this code. */
  encryptionKey?: string | undefined
  /** 32 bytes in hex: SHA-256 of the SubjectPublicKeyInfo of its TLS key. */
  tlsKey?: string | undefined
  /** Address of the TeeSignerRegistry. */
  registry: string
  provider: Provider
  send: Send
  /** Where collateral that the chain lacks comes from. Without it, somebody else has to keep the chain's up to date. */
  source?: CollateralSource | undefined
  /** Seconds before its end at which a registration is renewed; two days by default. */
  renewBefore?: number
}

export interface Registration {
  /** Unix seconds. */
  until: number
  /** False when what is registered lasts for a while. */
  renewed: boolean
}

const TWO_DAYS = 2 * 86_400
/** Seconds that a renewal has to add. */
const WORTH_RENEWING = 3600
const NOTHING = zeroPadValue('0x', 32)
/** Others publish the same collateral at the same time; whoever comes second looks again. */
const ATTEMPTS = 3

/**
 * Sees to it that the registry attests `signer`: adds the platform and its attestation key if they are not known, then proves the signer by a quote
 * over a recent block. Does nothing while a registration lasts. A signer that is replaced stays registered until its registration ends.
 * @throws whatever `send` throws: the registry's own reason, as measurements that governance has not allowed
 */
export async function ensureRegistered(options: RegistrationOptions): Promise<Registration> {
  const { signer, registry: address, provider, renewBefore = TWO_DAYS } = options
  const registry = ITeeSignerRegistry__factory.connect(address, provider)
  const until = Number(await registry.attestedUntil(signer))
  const block = await provider.getBlock('latest')
  if (until - block!.timestamp > renewBefore) return { until, renewed: false }

  for (let attempt = 1; ; attempt++) {
    try {
      const renewed = await register(options, until > block!.timestamp ? until + WORTH_RENEWING : 0)
      return { until: Number(await registry.attestedUntil(signer)), renewed }
    } catch (error) {
      if (attempt === ATTEMPTS || !mayPass(error)) throw error
    }
  }
}

/** Reasons that are gone when everything is read anew: somebody replaced what this was built on, or the chain moved on. */
const PASSING = ['NotCurrentCrl', 'Superseded', 'NotFresh', 'WrongQuotingEnclave']
const errors = Interface.from([...ICollateralRegistry__factory.abi, ...ITeeSignerRegistry__factory.abi].filter(({ type }) => (type as string) === 'error'))

/** Senders differ in what they make of a revert: its name, its selector, or ethers' error with its data; mined ones were fine a moment before. */
function mayPass(error: unknown): boolean {
  const { error: named, data, receipt, hash } = error as { error?: unknown; data?: unknown; receipt?: unknown; hash?: unknown }
  if (receipt !== undefined || hash !== undefined) return true
  const said = [named, data].find((value) => typeof value === 'string') as string | undefined
  return said !== undefined && PASSING.some((name) => said === name || said.startsWith(errors.getError(name)!.selector))
}

/** @returns false when registering would not make it last until `least` (unix seconds), as when the collateral it rests on ends as soon */
async function register(options: RegistrationOptions, least: number): Promise<boolean> {
  const { tee, signer, encryptionKey = NOTHING, tlsKey = NOTHING, registry: address, provider, send, source, renewBefore = TWO_DAYS } = options
  const registry = ITeeSignerRegistry__factory.connect(address, provider)
  const verifier = IQuoteVerifier__factory.connect(await registry.verifier(), provider)
  const collateral = ICollateralRegistry__factory.connect(await verifier.collateral(), provider)
  const [{ chainId }, latest] = await Promise.all([provider.getNetwork(), provider.getBlock('latest')])
  // The one before: a call that is simulated on top of the newest block does not see that block's own hash.
  const blockNumber = latest!.number - 1
  const claim = { chainId, registry: address, signer, encryptionKey, tlsKey, blockHash: latest!.parentHash }
  const { quote } = await tee.quote(signerReportData(claim))
  const to = await collateral.getAddress()
  const parsed = parseQuote(quote)
  const now = new Date(latest!.timestamp * 1000)
  await addPlatform(parsed, { collateral, now, renewBefore, source, send: (transaction) => send({ to, ...transaction }) })
  const proof = [hexlify(registrable(parsed, quote)), signer, encryptionKey, tlsKey, blockNumber] as const
  if (least > 0 && Number(await registry.register.staticCall(...proof)) < least) return false
  await send({ key: `register ${signer} at ${latest!.parentHash}`, to: address, data: registry.interface.encodeFunctionData('register', [...proof]) })
  return true
}

interface Publishing {
  collateral: ICollateralRegistry
  now: Date
  renewBefore: number
  source: CollateralSource | undefined
  send(transaction: { key: string; data: string }): Promise<unknown>
}

/** Adds what the chain does not know of the platform that made a quote, and what it lacks to judge it. */
async function addPlatform(quote: Quote, { collateral, now, renewBefore, source, send }: Publishing): Promise<void> {
  const certificates = platformCertificates(quote)
  const { pck, issuer } = certificates
  const isKnown = (await collateral.pckOf(keyId(pck.publicKey))).notAfter !== 0n
  if (source) {
    const { transactions, lists } = await missingCollateral(collateral, await collateralFor(source, quote.tee, certificates), {
      now,
      renewBefore,
      currentLists: !isKnown,
    })
    for (const transaction of transactions) await send(transaction)
    if (!isKnown) {
      const data = collateral.interface.encodeFunctionData('addPck', [hexlify(pck.der), keyId(issuer.publicKey), lists.pck])
      await send({ key: `platform ${keyId(pck.publicKey)} with ${keccak256(lists.pck)}`, data })
    }
  } else if (!isKnown) {
    throw new PerigeeError('NOT_FOUND', 'the chain does not know this platform yet', { wayOut: 'Name a source of collateral, so that it can be added.' })
  }
  if (await isVouchedFor(quote, collateral)) return
  const certification = hexlify(certificationOf(quote))
  const data = collateral.interface.encodeFunctionData('addAttestationKey', [hexlify(publicPoint(pck.publicKey)), hexlify(quote.attestationKey), certification])
  await send({ key: `attestation key ${keccak256(certification)} at ${Math.floor(now.getTime() / 1000)}`, data })
}

/** Whether the chain counts quotes of this attestation key now. */
async function isVouchedFor({ attestationKey }: Quote, collateral: ICollateralRegistry): Promise<boolean> {
  try {
    await collateral.evidenceOf(pointId(attestationKey))
    return true
  } catch (error) {
    // Whatever else is missing, adding the key anew would not bring it, and registering says what it is.
    if (isCallException(error)) return !['UnknownAttestationKey', 'WrongQuotingEnclave'].includes(error.revert?.name ?? '')
    throw error
  }
}

/** QE report ‖ its signature ‖ length of the authentication data ‖ authentication data. */
function certificationOf({ qeReport, qeReportSignature, qeAuthenticationData }: Quote): Uint8Array {
  const length = Buffer.alloc(2)
  length.writeUInt16LE(qeAuthenticationData.length)
  return Buffer.concat([qeReport.bytes, qeReportSignature, length, qeAuthenticationData])
}

/** The quote up to the end of its attestation key: what the chain wants of it. */
function registrable({ signedBytes, signature, attestationKey }: Quote, quote: Uint8Array): Uint8Array {
  const SIZE_FIELD = 4
  return quote.subarray(0, signedBytes.length + SIZE_FIELD + signature.length + attestationKey.length)
}

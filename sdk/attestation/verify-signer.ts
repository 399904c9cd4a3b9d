import { createHash } from 'node:crypto'
import { hexlify, type Provider } from 'ethers'
import { z } from 'zod'
import { verifyEventLog } from '../../protocol/attestation/event-log.ts'
import { INTEL_SGX_ROOT_CA } from '../../protocol/attestation/intel-root.ts'
import { parseQuote, type Quote } from '../../protocol/attestation/quote.ts'
import { measurementOf } from '../../protocol/attestation/report-data.ts'
import type { Check, Verdict } from '../../protocol/attestation/verdict.ts'
import { verifyQuote } from '../../protocol/attestation/verify.ts'
import { ICollateralRegistry__factory, IQuoteVerifier__factory, type ITeeSignerRegistry, ITeeSignerRegistry__factory } from '../../typechain-types/index.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { http, readError } from '../http.ts'
import type { CollateralSource } from './collateral-source.ts'
import { readEvidence } from './evidence.ts'
import { collateralFor, type PlatformCertificates, platformCertificates } from './platform.ts'

export interface VerifySignerOptions {
  signer: string
  /** Address of the TeeSignerRegistry. */
  registry: string
  provider: Provider
  /** Accept a registry whose evidence is simulated. */
  allowDevelopment?: boolean
  /** Checks the whole evidence here, too, instead of taking the chain's word for it. */
  evidence?: {
    /** Of the provider, as its service says; the quote is fetched from there. */
    url: string
    source: CollateralSource
  }
  signal?: AbortSignal
}

const fingerprintOf = (der: Uint8Array): string => `0x${createHash('sha256').update(der).digest('hex')}`

export interface SignerVerdict {
  ok: boolean
  /** In the order in which they ran. What depends on something that failed did not run. */
  checks: Check[]
  /** Unix seconds; 0 if the signer is not attested. */
  until: number
  /** keccak256 that names what runs. */
  measurement: string
  /** The evidence is simulated. */
  development: boolean
  /** Of the quote, when it was checked here. */
  quote?: Verdict
}

const TcbInfo = z.looseObject({ app_compose: z.string() })

/** SHA-256 of Intel's SGX root certificate. */
export const INTEL_ROOT_FINGERPRINT = fingerprintOf(INTEL_SGX_ROOT_CA)

/**
 * Whether a key may be believed to live in attested code: what the chain says of it, that the chain judges by Intel's root and no other, and on
 * request the quote itself. @throws PerigeeError when chain, provider or source cannot be asked
 */
export async function verifySigner(options: VerifySignerOptions): Promise<SignerVerdict> {
  const { signer, registry: address, provider, allowDevelopment = false, evidence } = options
  const registry = ITeeSignerRegistry__factory.connect(address, provider)
  const [registered, until, trust, block] = await Promise.all([
    registry.signerOf(signer),
    registry.attestedUntil(signer).then(Number),
    checkRegistry(registry, { allowDevelopment }),
    provider.getBlock('latest'),
  ])
  const { development, root } = trust
  const checks: Check[] = []
  const check = (name: string, ok: boolean, detail: string): boolean => {
    checks.push({ name, ok, detail })
    return ok
  }
  const verdict = (quote?: Verdict): SignerVerdict => ({
    ok: checks.every(({ ok }) => ok) && (quote?.ok ?? true),
    checks,
    until,
    measurement: registered.measurement,
    development,
    ...(quote ? { quote } : {}),
  })
  const now = block!.timestamp
  const standing =
    until === 0 ? 'never registered, revoked, lapsed, or its code is no longer allowed' : `attested until ${new Date(until * 1000).toISOString()}`
  check('signer is registered and attested', until > now, `${signer}: ${standing}`)
  checks.push(trust.check)
  if (!verdict().ok || !evidence) return verdict()

  const fetched = await fetchEvidence(evidence.url, options.signal)
  const unproven = readable(fetched.quote)
  if (typeof unproven === 'string') {
    check('the provider serves a quote', false, unproven)
    return verdict()
  }
  const { tee, certificates } = unproven
  const fingerprint = fingerprintOf(certificates.root.der)
  // Whose root is pinned was checked above: Intel's, or a simulated one that was asked for.
  if (!check('the quote is under the root of the registry', fingerprint === root, `SHA-256 ${fingerprint}`)) return verdict()
  const given = await collateralFor(evidence.source, tee, certificates, options.signal)
  const quote = verifyQuote(fetched.quote, given, { now: new Date(now * 1000), root: certificates.root.der })
  if (!quote.ok || !quote.quote) return verdict(quote)
  await checkBinding(registry, quote.quote.reportData, { signer, registered, provider }, check)
  const measurement = measurementOf(quote.quote)
  checks.push(...verifyEventLog(quote.quote, { eventLog: fetched.eventLog, ...composeOf(fetched.tcbInfo) }).checks)
  check('the quote is of the registered code', measurement === registered.measurement, `${measurement}, registered is ${registered.measurement}`)
  return verdict(quote)
}

export interface RegistryTrust {
  check: Check
  /** Its evidence is simulated. */
  development: boolean
  /** SHA-256 of the root certificate that all its evidence leads up to. */
  root: string
}

/** Whether a registry judges by Intel's root, or by a simulated one that was asked for. */
export async function checkRegistry(registry: ITeeSignerRegistry, { allowDevelopment }: { allowDevelopment: boolean }): Promise<RegistryTrust> {
  const runner = registry.runner
  const verifier = IQuoteVerifier__factory.connect(await registry.verifier(), runner)
  const collateral = ICollateralRegistry__factory.connect(await verifier.collateral(), runner)
  const [development, root] = await Promise.all([registry.development(), collateral.rootFingerprint()])
  const isIntel = !development && root === INTEL_ROOT_FINGERPRINT
  const detail = isIntel
    ? `Intel's, SHA-256 ${root}`
    : development
      ? `simulated: SHA-256 ${root}`
      : `SHA-256 ${root} instead of Intel's ${INTEL_ROOT_FINGERPRINT}`
  return { check: { name: 'root of trust', ok: isIntel || (development && allowDevelopment), detail }, development, root }
}

/** What it claims to be, or why it cannot be read. */
function readable(quote: Uint8Array): { tee: Quote['tee']; certificates: PlatformCertificates } | string {
  try {
    const parsed = parseQuote(quote)
    return { tee: parsed.tee, certificates: platformCertificates(parsed) }
  } catch (error) {
    return reasonOf(error)
  }
}

/** The compose file, to be compared with its measured hash. */
function composeOf(tcbInfo: string): { appCompose?: string } {
  const parsed = TcbInfo.safeParse(parseJson(tcbInfo))
  return parsed.success ? { appCompose: parsed.data.app_compose } : {}
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

type Registered = Awaited<ReturnType<ITeeSignerRegistry['signerOf']>>

async function checkBinding(
  registry: ITeeSignerRegistry,
  reportData: Uint8Array,
  { signer, registered, provider }: { signer: string; registered: Registered; provider: Provider },
  check: (name: string, ok: boolean, detail: string) => boolean,
): Promise<void> {
  const [binding, freshness] = [hexlify(reportData.subarray(0, 32)), hexlify(reportData.subarray(32))]
  const expected = await registry.reportDataOf(signer, registered.encryptionKey, registered.tlsKey)
  check('the quote binds the signer and its keys', binding === expected, `${binding}, expected ${expected}`)
  const block = await provider.getBlock(freshness)
  check('the quote is fresh', block !== null, block ? `made after block ${block.number}` : `${freshness} is no block of this chain`)
}

async function fetchEvidence(url: string, signal: AbortSignal | undefined) {
  const address = `${url}/v1/quote?layout=registry`
  const response = await http(address, { signal })
  if (response.statusCode !== 200) throw new PerigeeError('REMOTE', `${address} answered with ${await readError(response)}`)
  const document = await response.body.json().catch((cause) => {
    throw new PerigeeError('REMOTE', `${address} did not answer with JSON`, { cause })
  })
  return readEvidence(document)
}

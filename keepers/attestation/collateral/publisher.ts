import type { Registry } from 'prom-client'
import type { Collateral } from '../../../protocol/attestation/collateral.ts'
import type { CollateralSource } from '../../../sdk/attestation/collateral-source.ts'
import { issuerOf, missingCollateral } from '../../../sdk/attestation/publish-collateral.ts'
import { PerigeeError, reasonOf } from '../../../sdk/errors.ts'
import type { ICollateralRegistry } from '../../../typechain-types/index.ts'
import type { Log } from '../../runtime/log.ts'
import { counter, gauge } from '../../runtime/metrics.ts'
import { Reverted } from '../../runtime/revert.ts'
import type { Sender } from '../../runtime/sender.ts'
import type { PlatformKind, Platforms } from './platforms.ts'
import { unlessAborted } from './unless-aborted.ts'

export interface PublisherOptions {
  registry: ICollateralRegistry
  /** Address of the registry. */
  address: string
  source: CollateralSource
  platforms: Platforms
  /** Looked after even while no platform is registered. */
  fmspcs: readonly string[]
  renewBefore: number
  /** How long a transaction may take before everything is looked at anew. */
  patienceMs: number
  sender: Sender
  log: Log
  metrics: Registry
}

/** Asks the source for what the registry has, and publishes what is missing, ends soon, or revokes something in use. */
export class Publisher {
  readonly #options: PublisherOptions
  readonly #up
  readonly #published
  #trouble: string | undefined

  constructor(options: PublisherOptions) {
    this.#options = options
    const { metrics } = options
    this.#up = gauge(metrics, { name: 'collateral_source_up', help: 'Whether the source gave collateral that can be used when it was last asked' })
    this.#published = counter(metrics, { name: 'collateral_published_total', help: 'Documents brought on chain' })
  }

  /** Why what is due could not be published, or undefined. */
  problem(): string | undefined {
    return this.#trouble
  }

  /** @param now of the chain */
  async publish(kinds: readonly PlatformKind[], now: Date, signal: AbortSignal): Promise<void> {
    const { fmspcs } = this.#options
    const problems: string[] = []
    const wanted = new Map<string, Set<string>>(fmspcs.map((fmspc) => [fmspc, new Set()]))
    for (const { fmspc, issuer } of kinds) wanted.set(fmspc, (wanted.get(fmspc) ?? new Set()).add(issuer))
    let isUp = true
    for (const [fmspc, issuers] of wanted) {
      try {
        for (const collateral of await this.#collect(fmspc, issuers, signal)) problems.push(...(await this.#bringOnChain(collateral, now, signal)))
      } catch (error) {
        signal.throwIfAborted()
        // One kind of platform must not keep the others from being looked after.
        if (!(error instanceof PerigeeError || error instanceof Reverted)) throw error
        isUp = false
        problems.push(`${fmspc}: ${reasonOf(error)}`)
      }
    }
    this.#up.set(isUp ? 1 : 0)
    this.#tell(problems)
  }

  /** What the source has for the platforms of one FMSPC: once for each authority that certified any of them. */
  async #collect(fmspc: string, issuers: ReadonlySet<string>, signal: AbortSignal): Promise<Collateral[]> {
    const { source } = this.#options
    const first = await source.collateral({ fmspc, tee: 'tdx', ca: 'platform' }, signal)
    const others = [...issuers].filter((issuer) => issuer !== issuerOf(first))
    if (others.length === 0) return [first]
    const second = await source.collateral({ fmspc, tee: 'tdx', ca: 'processor' }, signal)
    return issuers.has(issuerOf(first)) ? [first, second] : [second]
  }

  /** @returns what is due and cannot be published */
  async #bringOnChain(collateral: Collateral, now: Date, signal: AbortSignal): Promise<string[]> {
    const { registry, address, platforms, renewBefore, patienceMs, sender, log } = this.#options
    const serialsInUse = await platforms.serials()
    const { transactions, problems } = await missingCollateral(registry, collateral, { now, renewBefore, serialsInUse })
    for (const { key, what, data } of transactions) {
      signal.throwIfAborted()
      // A reorganisation may have undone what this one comes after: only looking at the chain anew sends that again.
      const { hash } = await unlessAborted(sender.send({ key, to: address, data }), AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]))
      this.#published.inc()
      log.info({ document: what, hash }, 'collateral was published')
    }
    return problems
  }

  /** Logs a problem when it is new. */
  #tell(problems: readonly string[]): void {
    const { log, source } = this.#options
    const trouble = problems.length > 0 ? [...new Set(problems)].join('; ') : undefined
    if (trouble !== undefined && trouble !== this.#trouble) log.warn({ source: source.name, reason: trouble }, 'collateral that is due cannot be published')
    if (trouble === undefined && this.#trouble !== undefined) log.info({ source: source.name }, 'the source has what is due again')
    this.#trouble = trouble
  }
}

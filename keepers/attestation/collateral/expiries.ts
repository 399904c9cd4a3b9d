import type { Registry } from 'prom-client'
import { ROOT_ISSUER } from '../../../sdk/attestation/publish-collateral.ts'
import type { ICollateralRegistry } from '../../../typechain-types/index.ts'
import type { Log } from '../../runtime/log.ts'
import { gauge } from '../../runtime/metrics.ts'
import type { PlatformKind } from './platforms.ts'

/** Id of the only provisioning certification enclave so far. */
const USUAL_PCE = '0x0000'

/** A document on chain and its end. */
interface Expiry {
  document: string
  /** Unix seconds; 0 if it is not there. */
  until: number
}

export interface ExpiriesOptions {
  registry: ICollateralRegistry
  warnBefore: number
  errorBefore: number
  /** Looked after even while no platform is registered. */
  fmspcs: readonly string[]
  log: Log
  metrics: Registry
}

/** Watches how long what is on chain will still count, whoever keeps it up to date. */
export class Expiries {
  readonly #options: ExpiriesOptions
  readonly #gauge
  #alert: string | undefined

  constructor(options: ExpiriesOptions) {
    this.#options = options
    this.#gauge = gauge(options.metrics, {
      name: 'collateral_expires_seconds',
      help: 'Seconds until a document on chain ends, by the clock of the chain; negative when it has',
      labelNames: ['document'],
    })
  }

  /** What ends soon, or undefined. */
  problem(): string | undefined {
    return this.#alert
  }

  /** @param now of the chain, unix seconds */
  async look(kinds: readonly PlatformKind[], now: number): Promise<void> {
    const { warnBefore, errorBefore, fmspcs, log } = this.#options
    const expiries = kinds.length + fmspcs.length === 0 ? [] : await this.#read(kinds)
    this.#gauge.reset()
    const alerts: string[] = []
    for (const { document, until } of expiries.sort((a, b) => a.until - b.until)) {
      const seconds = until - now
      this.#gauge.set({ document }, seconds)
      if (seconds >= warnBefore) continue
      const ends = until === 0 ? 'is missing' : `${seconds > 0 ? 'ends' : 'ended'} at ${new Date(until * 1000).toISOString()}`
      alerts.push(`${document} ${ends}`)
      const facts = {
        document,
        until,
        seconds,
        advice: 'without it no signer on these platforms can register or be rechecked: look at the source and at the account',
      }
      if (seconds < errorBefore) log.error(facts, `collateral ${ends}`)
      else log.warn(facts, `collateral ${ends}`)
    }
    this.#alert = alerts.length > 0 ? alerts.join('; ') : undefined
  }

  async #read(kinds: readonly PlatformKind[]): Promise<Expiry[]> {
    const { registry, fmspcs } = this.#options
    const issuers = [...new Set(kinds.map(({ issuer }) => issuer))]
    const lists = [ROOT_ISSUER, ...issuers].map(async (issuer) => {
      const document = issuer === ROOT_ISSUER ? 'root CRL' : `CRL of ${issuer}`
      return { document, until: Number((await registry.crlOf(issuer)).nextUpdate) }
    })
    const examples = new Map<string, string | undefined>([
      ...fmspcs.map((fmspc) => [fmspc, undefined] as const),
      ...kinds.map(({ fmspc, example }) => [fmspc, example] as const),
    ])
    const infos = [...examples].map(async ([fmspc, example]) => {
      const pceId = example === undefined ? USUAL_PCE : (await registry.pckOf(example)).pceId
      return { document: `TCB info of ${fmspc}`, until: Number((await registry.tcbInfoOf(`0x${fmspc}`, pceId)).until) }
    })
    const identity = registry.qeIdentity().then(({ until }) => ({ document: 'QE identity', until: Number(until) }))
    return Promise.all([...lists, ...infos, identity])
  }
}

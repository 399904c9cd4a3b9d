import { ZeroHash } from 'ethers'
import { sdkReportData, signerReportData } from '../../../protocol/attestation/report-data.ts'
import { evidenceDocument } from '../../../sdk/attestation/evidence.ts'
import type { Tee } from '../../../sdk/attestation/tee.ts'
import type { Chain } from '../../runtime/chain.ts'

/** `sdk`: the report data is the signer's address in ASCII, which public clients read. `registry`: what the registry on chain wants. */
export type Layout = 'sdk' | 'registry'

/** Quotes are slow to make, and nobody is to keep the platform busy with asking. */
const FRESH_MS: Record<Layout, number> = { sdk: 3_600_000, registry: 60_000 }

export interface QuotesOptions {
  tee: Tee
  chain: Chain
  /** Address of the TeeSignerRegistry. */
  registry: string
  signer: string
}

/** What proves where the signing key lives: JSON of /v1/quote. */
export class Quotes {
  readonly #options: QuotesOptions
  readonly #made = new Map<Layout, { at: number; document: Promise<Record<string, unknown>> }>()

  constructor(options: QuotesOptions) {
    this.#options = options
  }

  document(layout: Layout): Promise<Record<string, unknown>> {
    const known = this.#made.get(layout)
    if (known && Date.now() - known.at < FRESH_MS[layout]) return known.document
    const document = layout === 'sdk' ? this.#forSdk() : this.#forRegistry()
    this.#made.set(layout, { at: Date.now(), document })
    document.catch(() => this.#made.delete(layout))
    return document
  }

  async #forSdk(): Promise<Record<string, unknown>> {
    const { tee, signer } = this.#options
    const reportData = sdkReportData(signer)
    return evidenceDocument(await tee.quote(reportData), reportData)
  }

  /** With what its report data are made of: anybody may register the signer with it. */
  async #forRegistry(): Promise<Record<string, unknown>> {
    const { tee, chain, registry, signer } = this.#options
    const { number, hash } = await chain.head()
    const claim = { chainId: chain.chainId, registry, signer, encryptionKey: ZeroHash, tlsKey: ZeroHash, blockHash: hash }
    const reportData = signerReportData(claim)
    return { ...evidenceDocument(await tee.quote(reportData), reportData), claim: { ...claim, blockNumber: number } }
  }
}

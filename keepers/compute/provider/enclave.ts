import { ZeroHash } from 'ethers'
import { sdkReportData, signerReportData } from '../../../protocol/attestation/report-data.ts'
import { evidenceDocument } from '../../../sdk/attestation/evidence.ts'
import type { Tee } from '../../../sdk/attestation/tee.ts'
import type { Chain } from '../../runtime/chain.ts'
import type { Signing } from './signing.ts'

/** Where the signing key is derived from, inside the enclave. */
export const SIGNER_PATH = '/signer'

/** `sdk`: the report data is the signer's address in ASCII, which public clients read. `registry`: what the registry on chain wants. */
export type Layout = 'sdk' | 'registry'

/** JSON of /v1/quote. */
export type QuoteDocument = Record<string, unknown>

/** Quotes are slow to make, and nobody is to keep the platform busy with asking. */
const FRESH_MS: Record<Layout, number> = { sdk: 3_600_000, registry: 60_000 }

export interface EnclaveOptions {
  tee: Tee
  signing: Signing
  chain: Chain
  /** Address of the TeeSignerRegistry. */
  registry: string
}

/** What proves where the signing key lives. */
export class Enclave {
  readonly #options: EnclaveOptions
  readonly #made = new Map<Layout, { at: number; document: Promise<QuoteDocument> }>()

  constructor(options: EnclaveOptions) {
    this.#options = options
  }

  get signer(): string {
    return this.#options.signing.address
  }

  quote(layout: Layout): Promise<QuoteDocument> {
    const known = this.#made.get(layout)
    if (known && Date.now() - known.at < FRESH_MS[layout]) return known.document
    const document = layout === 'sdk' ? this.#sdkQuote() : this.#registryQuote()
    this.#made.set(layout, { at: Date.now(), document })
    document.catch(() => this.#made.delete(layout))
    return document
  }

  async #sdkQuote(): Promise<QuoteDocument> {
    const { tee, signing } = this.#options
    const reportData = sdkReportData(signing.address)
    return evidenceDocument(await tee.quote(reportData), reportData)
  }

  /** With what its report data are made of: anybody may register the signer with it. */
  async #registryQuote(): Promise<QuoteDocument> {
    const { tee, signing, chain, registry } = this.#options
    const { number, hash } = await chain.head()
    const claim = { chainId: chain.chainId, registry, signer: signing.address, encryptionKey: ZeroHash, tlsKey: ZeroHash, blockHash: hash }
    const reportData = signerReportData(claim)
    return { ...evidenceDocument(await tee.quote(reportData), reportData), claim: { ...claim, blockNumber: number } }
  }
}

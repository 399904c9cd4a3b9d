/** Every quote in test/vectors/tee, with the collateral of its platform and a time at which that was current. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Collateral, TcbStatus } from '../../../protocol/attestation/collateral.ts'

const folder = join(import.meta.dirname, '../../vectors/tee')

export const read = (path: string): Uint8Array => new Uint8Array(readFileSync(join(folder, path)))
export const readText = (path: string): string => readFileSync(join(folder, path), 'utf8')
const bytes = (text: string, encoding: 'hex' | 'base64'): Uint8Array => new Uint8Array(Buffer.from(text, encoding))
const readHex = (path: string): Uint8Array => bytes(readText(path).trim().replace(/^0x/, ''), 'hex')

export const brokerReport = JSON.parse(readText('0g-sdk/broker_attestation_report.json'))
export const llmReport = JSON.parse(readText('0g-sdk/llm_attestation_report.json'))
const cryptopilotReport = JSON.parse(Buffer.from(JSON.parse(readText('0g-sdk/attestation_report.json')).evidence, 'base64').toString())

const platform = (file: string, now: string) => ({
  collateral: JSON.parse(readText(`collateral-normalised/${file}.json`)) as Collateral,
  now: new Date(now),
})
const sgx00a067 = platform('sgx-00a067-2025-06', '2025-06-25T00:00:00Z')
const tdx50806f = platform('tdx-50806f-2023-06', '2023-06-25T00:00:00Z')
const tdx00806f = platform('tdx-00806f-2025-07', '2025-07-15T00:00:00Z')
const tdxB0c06f = platform('tdx-b0c06f-2025-06', '2025-06-25T00:00:00Z')
const tdx90c06f = platform('tdx-90c06f-2026-02', '2026-02-25T00:00:00Z')

export interface Evidence {
  name: string
  quote: Uint8Array
  collateral: Collateral
  now: Date
  /** What the platform's state is, where it can be told. */
  status?: TcbStatus
  advisories: number
  /** The checks that fail, with what they say. */
  failed: Record<string, string>
}

const belowAll = { 'platform TCB': 'below every level that is known' }
const serviceDomain = { policy: 'a service domain is bound' }
const spr = read('go-tdx-guest/tdx_prod_quote_SPR_E4.dat')
/** The sample ends in a text "extra bytes (only for testing purpose)". */
const SPR_SIZE = 4935

export const EVIDENCE: Evidence[] = [
  { name: 'phala tdx_quote', quote: read('phala-dcap-qvl/tdx_quote'), ...tdxB0c06f, status: 'UpToDate', advisories: 0, failed: {} },
  { name: 'phala tdx-quote.hex', quote: readHex('phala-dcap-qvl/tdx-quote.hex'), ...tdxB0c06f, advisories: 0, failed: belowAll },
  { name: 'phala quote-from-tappd', quote: readHex('phala-dcap-qvl/quote-from-tappd.hex'), ...tdxB0c06f, advisories: 0, failed: belowAll },
  { name: 'phala tdx_quote_outdated (v5)', quote: read('phala-dcap-qvl/tdx_quote_outdated'), ...tdx90c06f, advisories: 0, failed: belowAll },
  {
    name: 'phala sgx_quote (v3)',
    quote: read('phala-dcap-qvl/sgx_quote'),
    ...sgx00a067,
    status: 'ConfigurationAndSWHardeningNeeded',
    advisories: 2,
    failed: {},
  },
  { name: 'automata quotev4', quote: readHex('automata-dcap/samples/quotev4.hex'), ...tdx00806f, status: 'OutOfDate', advisories: 3, failed: {} },
  {
    name: 'automata alibaba (v5)',
    quote: read('automata-dcap/quotes/alibaba_quote_5.dat'),
    ...tdx90c06f,
    status: 'OutOfDate',
    advisories: 5,
    failed: serviceDomain,
  },
  { name: 'automata tdx (v5)', quote: read('automata-dcap/quotes/tdx_quote_5.dat'), ...tdx90c06f, advisories: 0, failed: { ...serviceDomain, ...belowAll } },
  { name: 'go-tdx cos-113', quote: read('go-tdx-guest/cos-113-tdx-quote.dat'), ...tdx00806f, status: 'UpToDate', advisories: 0, failed: {} },
  { name: 'go-tdx SPR_E4', quote: spr.subarray(0, SPR_SIZE), ...tdx50806f, advisories: 0, failed: { policy: 'lacks attribute SEPT_VE_DISABLE', ...belowAll } },
  { name: 'go-tdx SPR_E4 with bytes behind', quote: spr, ...tdx50806f, advisories: 0, failed: { 'quote format': 'bytes other than zero follow the quote' } },
  { name: '0g broker', quote: bytes(brokerReport.quote, 'hex'), ...tdx90c06f, status: 'UpToDate', advisories: 0, failed: {} },
  { name: '0g llm', quote: bytes(llmReport.intel_quote, 'hex'), ...tdx90c06f, status: 'OutOfDate', advisories: 5, failed: {} },
  {
    name: '0g cryptopilot',
    quote: bytes(cryptopilotReport.quote, 'base64'),
    ...tdx90c06f,
    advisories: 0,
    failed: { ...serviceDomain, 'TCB info subject': 'of platforms 90c06f000000' },
  },
]

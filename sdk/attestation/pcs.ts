import type { Dispatcher } from 'undici'
import { z } from 'zod'
import type { Collateral } from '../../protocol/attestation/collateral.ts'
import { parseChain } from '../../protocol/attestation/pem.ts'
import { parseRevocationList } from '../../protocol/attestation/revocation-list.ts'
import { PerigeeError, reasonOf } from '../errors.ts'
import { http, readError } from '../http.ts'
import type { CollateralSource } from './collateral-source.ts'

/** Intel's Provisioning Certification Service; a PCCS, the cache that clouds run, has the same paths. */
export const INTEL_PCS = 'https://api.trustedservices.intel.com'
/** Intel's service has no call for the root's revocation list: it is where the root certificate says. */
const ROOT_CRL = 'https://certificates.trustedservices.intel.com/IntelSGXRootCA.der'
/** The largest answer is a revocation list of some thousand platforms. */
const MAX_BYTES = 4 * 1024 * 1024

const Signature = z.string().regex(/^[0-9a-fA-F]{128}$/, 'expected r and s in hex')

interface Answer {
  headers: Record<string, string | string[] | undefined>
  body: Buffer
}

/**
 * A client of Intel's PCS, version 4, or of a PCCS.
 * @param baseUrl up to but without /sgx/certification; @param rootCrlUrl where the root's revocation list is, at a PCCS `…/rootcacrl`
 */
export function pcsSource(baseUrl: string = INTEL_PCS, { rootCrlUrl, dispatcher }: { rootCrlUrl?: string; dispatcher?: Dispatcher } = {}): CollateralSource {
  const base = baseUrl.replace(/\/$/, '')
  const rootCrl = rootCrlUrl ?? (base === INTEL_PCS ? ROOT_CRL : `${base}/sgx/certification/v4/rootcacrl`)

  async function get(url: string, signal: AbortSignal | undefined): Promise<Answer> {
    const response = await http(url, { signal, ...(dispatcher ? { dispatcher } : {}) })
    if (response.statusCode !== 200) throw new PerigeeError('NETWORK', `${url} answered with ${await readError(response)}`)
    const parts: Buffer[] = []
    let size = 0
    try {
      for await (const part of response.body as AsyncIterable<Buffer>) {
        size += part.length
        if (size > MAX_BYTES) throw unreadable(url, `it is longer than ${MAX_BYTES} bytes`)
        parts.push(part)
      }
    } catch (error) {
      if (signal?.aborted || error instanceof PerigeeError) throw error
      throw new PerigeeError('NETWORK', `${url} broke off: ${reasonOf(error)}`, { cause: error })
    }
    return { headers: response.headers, body: Buffer.concat(parts) }
  }

  return {
    name: base,
    async collateral({ fmspc, tee, ca }, signal) {
      const urls = {
        tcb: `${base}/${tee}/certification/v4/tcb?fmspc=${fmspc}`,
        qe: `${base}/${tee}/certification/v4/qe/identity`,
        pckCrl: `${base}/sgx/certification/v4/pckcrl?ca=${ca}&encoding=der`,
      }
      const [tcb, qe, pckCrl, root] = await Promise.all([urls.tcb, urls.qe, urls.pckCrl, rootCrl].map((url) => get(url, signal)))
      const info = signedText(urls.tcb, tcb!.body, 'tcbInfo')
      const identity = signedText(urls.qe, qe!.body, 'enclaveIdentity')
      return {
        pck_crl_issuer_chain: issuerChain(urls.pckCrl, pckCrl!, ['sgx-pck-crl-issuer-chain']),
        root_ca_crl: revocationList(rootCrl, root!.body),
        pck_crl: revocationList(urls.pckCrl, pckCrl!.body),
        tcb_info_issuer_chain: issuerChain(urls.tcb, tcb!, ['tcb-info-issuer-chain', 'sgx-tcb-info-issuer-chain']),
        tcb_info: info.text,
        tcb_info_signature: info.signature,
        qe_identity_issuer_chain: issuerChain(urls.qe, qe!, ['sgx-enclave-identity-issuer-chain']),
        qe_identity: identity.text,
        qe_identity_signature: identity.signature,
      } satisfies Collateral
    },
  }
}

/** The signature is over the bytes as they came: writing the JSON anew could change one. */
function signedText(url: string, body: Buffer, field: string): { text: string; signature: string } {
  const match = new RegExp(`^\\s*\\{\\s*"${field}"\\s*:\\s*(\\{.*\\})\\s*,\\s*"signature"\\s*:\\s*"([^"]*)"\\s*\\}\\s*$`, 's').exec(body.toString('utf8'))
  const signature = Signature.safeParse(match?.[2])
  if (!match || !signature.success) throw unreadable(url, `it has no ${field} with its signature`)
  try {
    JSON.parse(match[1]!)
  } catch {
    throw unreadable(url, `its ${field} is not JSON`)
  }
  return { text: match[1]!, signature: signature.data.toLowerCase() }
}

/** PEM, percent-encoded in a header whose name differs between versions. */
function issuerChain(url: string, { headers }: Answer, names: string[]): string {
  const value = names.map((name) => headers[name]).find((header) => typeof header === 'string')
  if (value === undefined) throw unreadable(url, `it lacks the header ${names[0]}`)
  try {
    const chain = decodeURIComponent(value)
    parseChain(chain, 2)
    return chain
  } catch (error) {
    throw unreadable(url, `its header ${names[0]} is no chain of certificates: ${reasonOf(error)}`)
  }
}

/** Hex of DER, from DER (Intel), from its hex (PCCS) or from PEM (both, when asked for nothing else). */
function revocationList(url: string, body: Buffer): string {
  const text = body.toString('latin1').trim()
  const pem = /^-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----$/.exec(text)
  const der = pem ? Buffer.from(pem[1]!, 'base64') : /^([0-9a-fA-F]{2})+$/.test(text) ? Buffer.from(text, 'hex') : body
  try {
    parseRevocationList(der)
  } catch (error) {
    throw unreadable(url, reasonOf(error))
  }
  return der.toString('hex')
}

const unreadable = (url: string, why: string) => new PerigeeError('VERIFICATION_FAILED', `what ${url} answered cannot be collateral: ${why}`)

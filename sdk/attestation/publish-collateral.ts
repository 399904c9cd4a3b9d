import { createHash, type KeyObject } from 'node:crypto'
import { hexlify, keccak256 } from 'ethers'
import { z } from 'zod'
import type { Collateral } from '../../protocol/attestation/collateral.ts'
import { parseChain } from '../../protocol/attestation/pem.ts'
import { parseRevocationList } from '../../protocol/attestation/revocation-list.ts'
import type { Certificate } from '../../protocol/attestation/x509.ts'
import type { ICollateralRegistry } from '../../typechain-types/index.ts'
import { PerigeeError } from '../errors.ts'

/** The root's own id in the registry. */
export const ROOT_ISSUER = `0x${'00'.repeat(20)}`

/** One transaction to the collateral registry. */
export interface CollateralTransaction {
  /** Names what is published: the same content has the same key. */
  key: string
  /** In words. */
  what: string
  data: string
}

export interface Publication {
  /** In the order in which they have to be sent; each may need those before it. */
  transactions: CollateralTransaction[]
  /** Why something that is due cannot be published from this collateral. */
  problems: string[]
  /** DER of the revocation lists of the root and of whoever certified the platform, 0x hex. */
  lists: { root: string; pck: string }
}

export interface PublicationOptions {
  now: Date
  /** Seconds before its end at which a document is replaced. */
  renewBefore: number
  /** Serial numbers of certificates that this chain relies on: a list that revokes one of them is published at once. */
  serialsInUse?: ReadonlySet<bigint>
  /** Put the offered list of whoever certifies platforms in place even if the present one would last: adding a platform takes the list in place. */
  currentLists?: boolean
}

/** When something was issued and until when it counts. */
interface Validity {
  issued: number
  until: number
}

const Signed = z.object({ issueDate: z.coerce.date(), nextUpdate: z.coerce.date(), tcbEvaluationDataNumber: z.int().min(0) })
const TcbInfoText = Signed.extend({ fmspc: z.string().regex(/^[0-9a-fA-F]{12}$/), pceId: z.string().regex(/^[0-9a-fA-F]{4}$/) })

/**
 * Compares what the registry has with what a source gave, and says which transactions bring the registry up to date: what is missing, what ends
 * soon, and what changes a judgement (a revocation, a higher evaluation number). Older documents never replace newer ones.
 * @throws PerigeeError VERIFICATION_FAILED when the collateral is unreadable or under another root
 */
export async function missingCollateral(registry: ICollateralRegistry, collateral: Collateral, options: PublicationOptions): Promise<Publication> {
  const offer = readCollateral(collateral)
  const expected = await registry.rootFingerprint()
  if (offer.rootFingerprint !== expected) {
    throw new PerigeeError('VERIFICATION_FAILED', 'this collateral is under another root than the registry', {
      details: [`the registry's has SHA-256 ${expected}`, `this one's has ${offer.rootFingerprint}`],
    })
  }
  const planner = new Planner(registry, offer, options)
  await planner.plan()
  return { transactions: planner.transactions, problems: planner.problems, lists: { root: offer.rootCrl.der, pck: offer.pckCrl.der } }
}

class Planner {
  readonly transactions: CollateralTransaction[] = []
  readonly problems: string[] = []
  readonly #registry: ICollateralRegistry
  readonly #offer: ReturnType<typeof readCollateral>
  readonly #options: PublicationOptions

  constructor(registry: ICollateralRegistry, offer: ReturnType<typeof readCollateral>, options: PublicationOptions) {
    this.#registry = registry
    this.#offer = offer
    this.#options = options
  }

  async plan(): Promise<void> {
    const { rootCrl, pckCrl, ca, signers, tcbInfo, qeIdentity } = this.#offer
    const calls = this.#registry.interface
    const issuers = [ca, ...signers]
    const added = await Promise.all(issuers.map(async ({ id }) => (await this.#registry.issuerOf(id)).kind !== 0n))
    const absent = issuers.filter((_, i) => !added[i])
    // An issuer is added with proof that the list in place does not name it, so the list has to be this one.
    await this.#revocations('the revocation list of the root', ROOT_ISSUER, rootCrl, absent.length > 0)
    for (const { id, der, subject } of absent) {
      this.#add(`issuer ${id}`, `the issuer "${subject}"`, calls.encodeFunctionData('addIssuer', [der, rootCrl.der]))
    }
    await this.#revocations(`the revocation list of "${ca.subject}"`, ca.id, pckCrl, this.#options.currentLists === true)
    const tcbInfoThere = await this.#registry.tcbInfoOf(tcbInfo.fmspc, tcbInfo.pceId)
    await this.#signed(`the TCB info of ${tcbInfo.fmspc}`, tcbInfo, tcbInfoThere, (args) => calls.encodeFunctionData('addTcbInfo', args))
    await this.#signed('the identity of the quoting enclave', qeIdentity, await this.#registry.qeIdentity(), (args) =>
      calls.encodeFunctionData('addQeIdentity', args),
    )
  }

  async #revocations(what: string, issuer: string, list: Offered<'serials'>, mustBeThisOne: boolean): Promise<void> {
    const [hash, thisUpdate, nextUpdate] = await this.#registry.crlOf(issuer)
    if (hash === list.hash) return
    const revokes = list.serials.some((serial) => this.#options.serialsInUse?.has(serial))
    if (!this.#isDue(what, list, { issued: Number(thisUpdate), until: Number(nextUpdate) }, mustBeThisOne || revokes)) return
    this.#add(`crl ${issuer} ${list.hash}`, what, this.#registry.interface.encodeFunctionData('addCrl', [issuer, list.der]))
  }

  async #signed(
    what: string,
    document: Offered<'signer'>,
    current: { issueDate: bigint; until: bigint; evaluation: bigint },
    encode: (args: [text: string, signature: string, signer: string]) => string,
  ): Promise<void> {
    const evaluation = Number(current.evaluation)
    const there = { issued: Number(current.issueDate), until: Number(current.until) }
    if (document.evaluation < evaluation) {
      if (this.#endsSoon(there)) this.problems.push(`${what} is due, and this one has evaluation number ${document.evaluation}, below ${evaluation} on chain`)
      return
    }
    if (!this.#isDue(what, document, there, document.evaluation > evaluation)) return
    this.#add(`${what} ${document.hash}`, what, encode([document.der, document.signature, document.signer]))
  }

  #endsSoon({ until }: Validity): boolean {
    return until - this.#options.now.getTime() / 1000 < this.#options.renewBefore
  }

  #isDue(what: string, offered: Validity, current: Validity, atOnce: boolean): boolean {
    if (!atOnce && !this.#endsSoon(current)) return false
    const now = this.#options.now.getTime() / 1000
    const isOlder = offered.issued < current.issued || (!atOnce && offered.until <= current.until)
    const reason = isOlder
      ? `this one is not newer than that on chain, of ${iso(current.issued)}`
      : offered.until <= now
        ? `this one ended at ${iso(offered.until)}`
        : offered.issued > now
          ? `this one is from the future, ${iso(offered.issued)}`
          : undefined
    if (reason === undefined) return true
    this.problems.push(`${what} is due, and ${reason}`)
    return false
  }

  #add(key: string, what: string, data: string): void {
    this.transactions.push({ key, what, data })
  }
}

interface Document extends Validity {
  /** The bytes to publish, 0x hex: DER of a list, UTF-8 of signed JSON. */
  der: string
  hash: string
}
type Offered<Kind extends 'serials' | 'signer'> = Document &
  (Kind extends 'serials' ? { serials: bigint[] } : { signature: string; signer: string; evaluation: number })

/** Everything that publishing needs of a collateral. @throws PerigeeError VERIFICATION_FAILED */
function readCollateral(collateral: Collateral) {
  try {
    const [[ca, root], [tcbSigner], [qeSigner]] = [collateral.pck_crl_issuer_chain, collateral.tcb_info_issuer_chain, collateral.qe_identity_issuer_chain].map(
      (chain) => parseChain(chain, 2) as [Certificate, Certificate],
    ) as [[Certificate, Certificate], [Certificate, Certificate], [Certificate, Certificate]]
    const tcb = TcbInfoText.parse(JSON.parse(collateral.tcb_info))
    const qe = Signed.parse(JSON.parse(collateral.qe_identity))
    return {
      rootFingerprint: `0x${createHash('sha256').update(root.der).digest('hex')}`,
      rootCrl: list(collateral.root_ca_crl),
      pckCrl: list(collateral.pck_crl),
      ca: issuer(ca),
      signers: [...new Map([tcbSigner, qeSigner].map((certificate) => [keyId(certificate.publicKey), issuer(certificate)])).values()],
      tcbInfo: {
        ...signed(tcb, collateral.tcb_info, collateral.tcb_info_signature, tcbSigner),
        fmspc: `0x${tcb.fmspc.toLowerCase()}`,
        pceId: `0x${tcb.pceId}`,
      },
      qeIdentity: signed(qe, collateral.qe_identity, collateral.qe_identity_signature, qeSigner),
    }
  } catch (cause) {
    throw new PerigeeError('VERIFICATION_FAILED', `this is no collateral: ${cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message}`, {
      cause,
    })
  }
}

/** Id of the authority that certified the platforms of a collateral. @throws PerigeeError VERIFICATION_FAILED */
export const issuerOf = (collateral: Collateral): string => readCollateral(collateral).ca.id

function list(hex: string): Offered<'serials'> {
  const der = Buffer.from(hex, 'hex')
  const { thisUpdate, nextUpdate, revoked } = parseRevocationList(der)
  const serials = [...revoked].map((serial) => BigInt(`0x${serial}`))
  return { der: hexlify(der), hash: keccak256(der), serials, issued: seconds(thisUpdate), until: seconds(nextUpdate) }
}

function signed(fields: z.output<typeof Signed>, text: string, signature: string, by: Certificate): Offered<'signer'> {
  const bytes = Buffer.from(text, 'utf8')
  return {
    der: hexlify(bytes),
    hash: keccak256(bytes),
    signature: `0x${signature}`,
    signer: keyId(by.publicKey),
    issued: seconds(fields.issueDate),
    until: seconds(fields.nextUpdate),
    evaluation: fields.tcbEvaluationDataNumber,
  }
}

const issuer = ({ publicKey, der, commonName }: Certificate) => ({ id: keyId(publicKey), der: hexlify(der), subject: commonName })

/** x ‖ y of a P-256 key. */
export function publicPoint(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: 'jwk' })
  return Buffer.concat([Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url')])
}

/** The registry's id of a key: the last 20 bytes of keccak256(x ‖ y). */
export const pointId = (point: Uint8Array): string => `0x${keccak256(point).slice(-40)}`
export const keyId = (key: KeyObject): string => pointId(publicPoint(key))

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000)
const iso = (unixSeconds: number): string => new Date(unixSeconds * 1000).toISOString()

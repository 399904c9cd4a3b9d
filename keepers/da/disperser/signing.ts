import { setImmediate as turn } from 'node:timers/promises'
import { concat, getBytes, hexlify } from 'ethers'
import { addG1, addG2, aggregate, decodeG1, type G1Point, type G2Point, verifySignature } from '../../../protocol/da/bls.ts'
import { type CertificateDomain, certificateDigest, isEnoughWeight, isSignedBy, packAbsent } from '../../../protocol/da/certificate.ts'
import { DaFormatError } from '../../../protocol/da/format-error.ts'
import type { DaEpoch } from '../../../sdk/da/epochs.ts'
import type { IDACertificates } from '../../../typechain-types/index.ts'
import { weightOf } from './batching.ts'
import { shortfall } from './dispersal.ts'
import { type Failure, type Gathered, gather, Refused } from './gather.ts'
import type { DisperserMetrics } from './metrics.ts'
import { cheaperScheme } from './scheme.ts'
import type { SignerKeys } from './signer-keys.ts'
import type { SignerLinks } from './signer-links.ts'

export interface SigningOptions {
  links: SignerLinks
  keys: Pick<SignerKeys, 'ofMembers'>
  domain: CertificateDomain
  certificates: IDACertificates
  config: { graceMs: number; signMs: number }
  metrics: DisperserMetrics
  signal: AbortSignal
}

/** Collects the signatures of a batch. Each is verified before it goes to the chain: one that is wrong would fail all of them. */
export class Signing {
  readonly #options: SigningOptions

  constructor(options: SigningOptions) {
    this.#options = options
  }

  /** The calldata that certifies a batch. @param members those that stored every blob of it. @throws NotEnough */
  async sign(epoch: DaEpoch, root: string, blobIds: readonly string[], members: ReadonlySet<number>): Promise<string> {
    const { domain, certificates } = this.#options
    const digest = certificateDigest(domain, epoch.epoch, root)
    const scheme = cheaperScheme(members.size, epoch.members.length - members.size)
    const iface = certificates.interface
    if (scheme === 'signatures') {
      const answers = await this.#collect(epoch, blobIds, members, (ecdsa, _bls, account) => {
        if (!isSignedBy(account, digest, ecdsa)) throw new Refused('its signature is not one of the batch')
        return ecdsa
      })
      const signed = [...answers.keys()].sort((a, b) => a - b)
      const signatures = concat(signed.map((index) => hexlify(answers.get(index)!)))
      return iface.encodeFunctionData('certifyBySignatures', [root, epoch.epoch, absentFrom(epoch, answers), signatures])
    }
    const answers = await this.#collect(epoch, blobIds, members, (_ecdsa, bls) => decodeG1(bls))
    const valid = await this.#validOf(epoch, digest, answers)
    const keys = await this.#keysOf(epoch, valid)
    const { signature, key, counter, y } = aggregate(digest, [...valid.values()], keys)
    return iface.encodeFunctionData('certify', [root, epoch.epoch, absentFrom(epoch, valid), { signature, key, counter, y }])
  }

  async #collect<T>(
    epoch: DaEpoch,
    blobIds: readonly string[],
    members: ReadonlySet<number>,
    read: (ecdsa: Uint8Array, bls: Uint8Array, account: string) => T,
  ): Promise<ReadonlyMap<number, T>> {
    const { links, config, metrics, signal } = this.#options
    const request = { epoch: epoch.epoch, blobIds: blobIds.map((id) => getBytes(id)) }
    const result: Gathered<T> = await gather({
      members: epoch.members.filter(({ index }) => members.has(index)),
      totalWeight: epoch.totalWeight,
      async ask(member, signal) {
        const { ecdsa, bls } = await links.of(member).sign(request, signal)
        return read(ecdsa, bls, member.account)
      },
      graceMs: config.graceMs,
      timeoutMs: config.signMs,
      signal,
    })
    metrics.failures('sign', result)
    const weight = weightOf(result.answers.keys(), epoch)
    if (!isEnoughWeight(weight, epoch.totalWeight)) throw shortfall('signed', epoch.totalWeight, result)
    return new Map(result.answers)
  }

  /** Two pairings if all are right; those that are not are found by halves. @throws NotEnough */
  async #validOf(epoch: DaEpoch, digest: string, answers: ReadonlyMap<number, G1Point>): Promise<ReadonlyMap<number, G1Point>> {
    const keys = await this.#keysOf(epoch, answers)
    const wrong = await wrongAmong(
      digest,
      [...answers].map(([index, signature], at) => ({ index, signature, key: keys[at]! })),
    )
    if (wrong.length === 0) return answers
    const valid = new Map(answers)
    const failures = new Map<number, Failure>()
    for (const index of wrong) {
      valid.delete(index)
      const { account, weight } = epoch.members[index]!
      failures.set(index, { account, weight, reason: 'its signature is not one of the batch', kind: 'refused' })
    }
    this.#options.metrics.failures('sign', { failures })
    const weight = weightOf(valid.keys(), epoch)
    if (!isEnoughWeight(weight, epoch.totalWeight)) throw shortfall('signed', epoch.totalWeight, { failures })
    return valid
  }

  #keysOf(epoch: DaEpoch, signed: ReadonlyMap<number, unknown>): Promise<G2Point[]> {
    return this.#options.keys.ofMembers([...signed.keys()].map((index) => epoch.members[index]!))
  }
}

const absentFrom = ({ members }: DaEpoch, signed: ReadonlyMap<number, unknown>): string =>
  packAbsent(members.filter(({ index }) => !signed.has(index)).map(({ index }) => index))

interface MemberSignature {
  index: number
  signature: G1Point
  key: G2Point
}

/** Members without whose signatures the sum of the others verifies: two pairings for some that are right, 2·log2 n times as many for one of n that is wrong. */
async function wrongAmong(digest: string, signatures: readonly MemberSignature[]): Promise<number[]> {
  if (isAggregateOf(digest, signatures)) return []
  if (signatures.length === 1) return [signatures[0]!.index]
  const half = signatures.length >> 1
  const wrong: number[] = []
  for (const part of [signatures.slice(0, half), signatures.slice(half)]) {
    await turn() // a pairing takes tens of milliseconds, in which nothing else is served
    wrong.push(...(await wrongAmong(digest, part)))
  }
  return wrong
}

/** Whoever signs last can choose a signature with which the sum is infinity: that is one that is wrong, and no more. */
function isAggregateOf(digest: string, signatures: readonly MemberSignature[]): boolean {
  try {
    return verifySignature(digest, addG1(signatures.map(({ signature }) => signature)), addG2(signatures.map(({ key }) => key)))
  } catch (error) {
    if (error instanceof DaFormatError) return false
    throw error
  }
}

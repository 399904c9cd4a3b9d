import { concat, getBytes, hexlify } from 'ethers'
import { addG1, addG2, aggregate, decodeG1, type G1Point, type G2Point, verifySignature } from '../../../protocol/da/bls.ts'
import { type CertificateDomain, certificateDigest, isEnoughWeight, isSignedBy, packAbsent } from '../../../protocol/da/certificate.ts'
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

  /** Two pairings for all of them; only if that fails, two for each. @throws NotEnough */
  async #validOf(epoch: DaEpoch, digest: string, answers: ReadonlyMap<number, G1Point>): Promise<ReadonlyMap<number, G1Point>> {
    const keys = await this.#keysOf(epoch, answers)
    if (verifySignature(digest, addG1([...answers.values()]), addG2(keys))) return answers
    const valid = new Map<number, G1Point>()
    const failures = new Map<number, Failure>()
    for (const [at, [index, signature]] of [...answers].entries()) {
      const { account, weight } = epoch.members[index]!
      if (verifySignature(digest, signature, keys[at]!)) valid.set(index, signature)
      else failures.set(index, { account, weight, reason: 'its signature is not one of the batch', kind: 'refused' })
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

import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { hexlify, SigningKey, type TypedDataDomain } from 'ethers'
import { HEADER_LENGTH, ModelFileEncryption } from '../../../protocol/compute/tuning-model-file.ts'
import { encryptModelKey } from '../../../protocol/compute/tuning-secret.ts'
import { settlementDigest, type TuningSettlement } from '../../../protocol/compute/tuning-settlement.ts'
import type { Tee } from '../../../sdk/attestation/tee.ts'

/** Where the signing key is derived from. */
const SIGNER_PATH = '/signer'

/** What is done with keys that never leave the TEE. */
export interface Enclave {
  readonly signer: SigningKey
  /**
   * Encrypts a model for one task. Its key is derived, so nothing can lose it; each run has a new IV.
   * `to` is there as a whole or not at all.
   */
  encryptModel(taskId: string, from: string, to: string): Promise<void>
  /** The key of a task's model, encrypted to the user: hex. */
  secretFor(taskId: string, publicKey: string): Promise<string>
  /** Signs a settlement: hex. */
  sign(domain: TypedDataDomain, settlement: TuningSettlement): string
}

export async function openEnclave(tee: Tee): Promise<Enclave> {
  const signer = new SigningKey(hexlify(await tee.key(SIGNER_PATH)))
  const keyOf = (taskId: string) => tee.key(`/tuning/model/${taskId}`)
  return {
    signer,
    async encryptModel(taskId, from, to) {
      const making = `${to}.part`
      const encryption = new ModelFileEncryption({ key: await keyOf(taskId), iv: randomBytes(12) })
      const file = await open(making, 'w', 0o600)
      try {
        let at = HEADER_LENGTH
        for await (const piece of encryption.body(createReadStream(from, { highWaterMark: 1024 * 1024 }))) {
          await file.write(piece, 0, piece.length, at)
          at += piece.length
        }
        await file.write(encryption.header(signer), 0, HEADER_LENGTH, 0)
        await file.datasync()
      } finally {
        await file.close()
      }
      await rename(making, to)
    },
    secretFor: async (taskId, publicKey) => hexlify(encryptModelKey(publicKey, await keyOf(taskId))),
    sign: (domain, settlement) => signer.sign(settlementDigest(domain, settlement)).serialized,
  }
}

import { randomFillSync } from 'node:crypto'
import { formatEther, type JsonRpcProvider, parseEther, Wallet } from 'ethers'
import { blobBalanceOf, connectDa, connectDisperser, contractNamed, depositForBlobs, openDaReader, putBlob, retrieve, verifyBlob } from '../sdk/index.ts'
import type { DevnetFile } from './devnet-file.ts'
import { say, step } from './progress.ts'

const BLOB_BYTES = 1024 * 1024 + 7
/** The development account that pays, and what it puts in when it has less than a fifth of it. */
const USER = 6
const DEPOSIT = parseEther('0.1')

/** A blob: paid for by promise, certified on chain by two thirds of the stake, sampled as a light client would, and fetched from the signers. */
export async function daTour({ chain, contracts, services }: DevnetFile, provider: JsonRpcProvider): Promise<void> {
  const payer = new Wallet(chain.accounts[USER]!.privateKey, provider)
  const payments = contractNamed('BlobPayments', contracts, payer)
  const reader = openDaReader(connectDa(contracts, provider))
  const disperser = connectDisperser(services.daDisperser!)
  try {
    say('\nData availability: a blob is published, certified, sampled, and fetched from its signers.')
    if ((await blobBalanceOf({ payments }, payer.address)).available < DEPOSIT / 5n)
      await step(`${formatEther(DEPOSIT)} coins deposited to pay for blobs`, () => depositForBlobs({ payments }, payer.address, DEPOSIT))
    const data = randomFillSync(new Uint8Array(BLOB_BYTES))
    const put = await step(`blob of ${BLOB_BYTES.toLocaleString('en')} bytes certified on chain`, () =>
      putBlob(reader, disperser, data, { payment: { payer, payments } }),
    )
    say(
      `    blob ${put.blobId}\n    ${formatEther(put.signedWeight)} of ${formatEther(put.totalWeight)} coins of stake signed its batch, in ${put.transaction}; ${formatEther(put.fee)} coins promised for it`,
    )
    const verdict = await step('sampled as a light client does', async () => {
      const verdict = await verifyBlob(reader, put.blobId)
      if (verdict.answered < verdict.samples) throw new Error(`only ${verdict.answered} of ${verdict.samples} samples were answered`)
      return verdict
    })
    say(`    ${verdict.answered} random chunks, each proven to be the blob's: a chance of ${verdict.chance.toPrecision(1)} if it could not be recovered`)
    const { bytes } = await step('fetched from the signers alone, decoded, and encoded again to compare', () => retrieve(reader, put.blobId))
    if (!Buffer.from(bytes).equals(data)) throw new Error('what the signers gave has the right id but is not the blob')
    say(`    ${bytes.length.toLocaleString('en')} bytes, equal to the original`)
  } finally {
    disperser.close()
    await reader.close()
  }
}

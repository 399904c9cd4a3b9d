import { z } from 'zod'
import { address, commonFields, keyFields } from '../../runtime/config.ts'

const MEBIBYTE = 1_048_576

export const schema = z.object({
  ...commonFields('da/disperser', 51_001),
  ...keyFields,
  httpPort: z.int().min(0).max(65_535).default(5810).describe('port of /healthz, /readyz, /metrics and dead letters; 0 takes a free one'),
  dataAvailability: address().describe('the DataAvailability contract: signers, epochs and certificates'),
  payments: address().describe('the BlobPayments contract'),
  challenges: address().describe('the AvailabilityChallenges contract, which says how long blobs are kept'),
  privateSigners: z.boolean().default(false).describe('connect to signers at private addresses too; on chains 31337 and 1337 it does so anyway'),
  fromBlock: z.int().min(0).default(0).describe('block to read certificates from: that of the deployment'),
  finalityBlocks: z.int().min(0).max(10_000).default(12).describe('blocks on top of a certificate with which it counts as final'),
  sponsor: z.boolean().default(false).describe('take blobs without payment, as clients of the public service send them, and pay for them'),
  sponsorBalance: z.coerce
    .bigint()
    .min(0n)
    .default(10n ** 18n)
    .describe('wei that are kept in BlobPayments for that; filled up when half is used'),
  codecThreads: z.int().min(0).max(64).default(2).describe('threads that encode; 0: the one that serves'),
  maxEncodedBytes: z
    .int()
    .min(MEBIBYTE)
    .default(384 * MEBIBYTE)
    .describe('bytes of encoded blobs in memory; one blob is encoded in any case'),
  maxPendingBytes: z
    .int()
    .min(1)
    .default(1024 * MEBIBYTE)
    .describe('bytes of accepted blobs that wait for their certificates; more are refused'),
  maxCalls: z.int().min(1).max(10_000).default(64).describe('gRPC calls at a time; each may hold a blob in memory'),
  peerBytesPerSecond: z
    .int()
    .min(1)
    .default(64 * MEBIBYTE)
    .describe('bytes a second that one address may send in the long run'),
  peerBlobsPerSecond: z.int().min(1).default(200).describe('blobs a second that one address may send in the long run'),
  batchMs: z.int().min(0).max(60_000).default(250).describe('how long a stored blob waits for others to be certified with it, in ms'),
  batchBlobs: z.int().min(1).max(4096).default(256).describe('most blobs of a batch'),
  windowBytes: z
    .int()
    .min(65_536)
    .default(16 * MEBIBYTE)
    .describe('bytes sent to one signer that it has not answered'),
  graceMs: z.int().min(0).default(500).describe('how long the slower signers are waited for once two thirds have stored or signed, in ms'),
  storeMs: z.int().min(100).default(30_000).describe('how long a signer may take to store a blob, in ms'),
  signMs: z.int().min(100).default(10_000).describe('how long signers may take to sign a batch, in ms'),
  attempts: z.int().min(1).default(10).describe('tries to have a blob stored and signed before it fails for good'),
  retryMs: z.int().min(1).default(1000).describe('wait before the second try, in ms; doubles each time, up to half a minute'),
  stuckMs: z.int().min(1000).default(60_000).describe('a transaction that is not mined for this long is sent again and pays more, in ms'),
  redeemMs: z.int().min(50).default(10_000).describe('how often promises of payment are redeemed, in ms'),
  upkeepMs: z.int().min(50).default(2000).describe('how often epochs, balance and files are looked after, in ms'),
  keepSeconds: z.int().min(0).default(3600).describe('how long the bytes of a blob are kept after it is final'),
  rememberSeconds: z
    .int()
    .min(0)
    .default(30 * 86_400)
    .describe('how long the status of a request is told'),
})

export type Config = z.output<typeof schema>

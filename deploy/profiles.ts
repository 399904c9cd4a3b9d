import { parseEther } from 'ethers'
import { INTEL_SGX_ROOT_CA } from '../protocol/attestation/intel-root.ts'
import type { AccessParameters } from './access.ts'
import type { AttestationParameters } from './attestation.ts'
import type { ComputeParameters } from './compute.ts'
import type { DaParameters } from './da.ts'
import type { StorageParameters } from './storage.ts'

/** What to deploy: a module is deployed when its parameters are there. */
export interface Profile {
  access: AccessParameters
  /** Takes no parameters: nobody governs it. */
  stake?: true
  storage?: StorageParameters
  attestation?: AttestationParameters
  compute?: ComputeParameters
  /** Needs stake. */
  da?: DaParameters
}

const MINUTE = 60n
const HOUR = 3600n
const DAY = 24n * HOUR
const YEAR = 365n * DAY

/** Wei per sector and lease period that yields `coins` per TiB and month, of which a payment buys `months`. */
function price(coinsPerTiBMonth: bigint, months: bigint): bigint {
  return (coinsPerTiBMonth * months * 10n ** 18n) / (1n << 32n)
}

/** Real hardware. What runs in it is allowed by vote, once it is published. The evaluation number is that of Intel's collateral since 2025. */
const intel: AttestationParameters = { lifetime: 7n * DAY, minimumEvaluation: 17n, tee: { rootCertificate: INTEL_SGX_ROOT_CA, measurements: [] } }

/** One machine with blocks of a second: every upload of a load (256 KiB) pays a miner within a minute. */
const local: Profile = {
  access: {},
  stake: true,
  compute: { lockTime: DAY },
  // Epochs of an hour, so that a chain nobody uses goes quiet; the first begins when four signers are there. Nothing is kept for long.
  da: {
    randomness: 'prevrandao',
    epochLength: HOUR,
    minSigners: 4n,
    minStake: parseEther('100'),
    retention: HOUR,
    answerTime: 5n * MINUTE,
    deposit: parseEther('0.05'),
    penalty: parseEther('10'),
    // A MiB costs 0.0002 coins: what redeeming the promise does at 2 gwei, and as much again.
    payments: { blobPrice: parseEther('0.0001'), pricePerKiB: parseEther('0.0000001'), lockTime: HOUR, disperserShare: 2_500n },
    // Fees are paid out within an hour. What is donated lasts for an hour of sampling, and is filled up again at the next start.
    sampling: { roundBlocks: 15n, answersPerRound: 4n, feeRatio: 1_000n, baseReward: parseEther('0.001'), donation: parseEther('1') },
  },
  storage: {
    blocksPerEpoch: 15n,
    pricePerSector: price(1n, 1n),
    leasePeriod: 30n * DAY,
    gracePeriod: 7n * DAY,
    chunkSectors: 1n << 10n,
    releaseSeconds: 30n * DAY,
    // An answer costs 300,000 gas: 0.0006 coins at 2 gwei. The pool lasts for hours of mining and is filled again at the next start:
    // a network left alone goes quiet, as one mined for weeks would take long to replay.
    baseReward: parseEther('0.01'),
    basePool: parseEther('10'),
    pora: {
      difficulty: 30_000n,
      targetMineBlocks: 12n,
      targetSubmissions: 1n,
      difficultyAdjustRatio: 20n,
      maxShards: 32n,
      nSubtasks: 1n,
      subtaskInterval: 0n,
      minDifficulty: 30_000n,
    },
  },
  attestation: { lifetime: 7n * DAY, minimumEvaluation: 0n },
}

/** A handful of operators with some hundred gigabytes, on a chain with blocks of a few seconds. */
const small: Profile = {
  access: {},
  stake: true,
  compute: { lockTime: DAY },
  da: {
    randomness: 'prevrandao',
    epochLength: 8n * HOUR,
    minSigners: 4n,
    minStake: parseEther('100'),
    retention: 14n * DAY,
    answerTime: 2n * HOUR,
    deposit: parseEther('0.05'),
    penalty: parseEther('10'),
    payments: { blobPrice: parseEther('0.0001'), pricePerKiB: parseEther('0.0000001'), lockTime: DAY, disperserShare: 2_500n },
    // With blocks of two seconds there are 80,000 answers in two weeks: about as long as what is paid for must be held.
    sampling: { roundBlocks: 150n, answersPerRound: 20n, feeRatio: 80_000n, baseReward: 0n, donation: 0n },
  },
  storage: {
    blocksPerEpoch: 600n,
    pricePerSector: price(8n, 12n),
    leasePeriod: YEAR,
    gracePeriod: 30n * DAY,
    chunkSectors: 1n << 18n,
    releaseSeconds: YEAR,
    baseReward: parseEther('0.01'),
    basePool: 0n,
    pora: {
      difficulty: 1_000_000n,
      targetMineBlocks: 120n,
      targetSubmissions: 10n,
      difficultyAdjustRatio: 20n,
      maxShards: 64n,
      nSubtasks: 4n,
      subtaskInterval: 120n,
      minDifficulty: 30_000n,
    },
  },
  attestation: intel,
}

/** The scale and the schedule of the public 0G networks. */
const mainnet: Profile = {
  access: {},
  stake: true,
  compute: { lockTime: DAY },
  da: {
    randomness: 'prevrandao',
    epochLength: 8n * HOUR,
    minSigners: 10n,
    minStake: parseEther('1000'),
    retention: 14n * DAY,
    answerTime: 2n * HOUR,
    deposit: parseEther('0.05'),
    penalty: parseEther('100'),
    payments: { blobPrice: parseEther('0.0001'), pricePerKiB: parseEther('0.0000001'), lockTime: DAY, disperserShare: 2_500n },
    sampling: { roundBlocks: 150n, answersPerRound: 20n, feeRatio: 80_000n, baseReward: 0n, donation: 0n },
  },
  storage: {
    blocksPerEpoch: 3750n,
    pricePerSector: price(11n, 12n),
    leasePeriod: YEAR,
    gracePeriod: 30n * DAY,
    chunkSectors: 1n << 25n,
    releaseSeconds: YEAR,
    baseReward: 0n,
    basePool: 0n,
    pora: {
      difficulty: 1_000_000n,
      targetMineBlocks: 750n,
      targetSubmissions: 100n,
      difficultyAdjustRatio: 20n,
      maxShards: 256n,
      nSubtasks: 4n,
      subtaskInterval: 800n,
      minDifficulty: 30_000n,
    },
  },
  attestation: intel,
}

export const PROFILES: Readonly<Record<string, Profile>> = { local, small, mainnet }

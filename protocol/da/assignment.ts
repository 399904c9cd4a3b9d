import { getBytes, keccak256 } from 'ethers'
import { threadKernel } from '../../codec/keccak/index.ts'
import { type Code, codeOf } from './codes.ts'
import { checkHash, checkInteger, DaFormatError } from './format-error.ts'
import { type MemberShare, rowsOfShare, type Shares } from './shares.ts'

/** What an epoch says of whose rows are whose. */
export interface AssignmentEpoch extends Omit<Shares, 'members'> {
  /** Hex of 32 bytes. */
  seed: string
  members: readonly Readonly<MemberShare>[]
}

/** Which member of an epoch holds which rows of one blob. Members are indices in the epoch. */
export interface Assignment {
  /** The rows of a member in the order of its slots. */
  rowsOf(member: number): Uint32Array
  /** Who must hold a row; undefined if nobody must. */
  ownerOf(row: number): number | undefined
}

const ROUNDS = 12

/**
 * Rows are dealt by a permutation of theirs that epoch and blob key: slot i is row p(i), and members hold consecutive slots. The contract computes the same
 * for one row (contracts/da/Assignment.sol).
 * @throws DaFormatError for a code that the epoch does not allow
 */
export function createAssignment(epoch: AssignmentEpoch, blobId: string, log2K: number): Assignment {
  const code = codeOf(log2K)
  if (!(epoch.codes & (1 << code.index))) throw new DaFormatError(`K = ${code.k} is no code of the epoch (mask ${epoch.codes})`)
  const key = getBytes(keccak256(checkHash(epoch.seed, 'the seed of the epoch') + checkHash(blobId, 'the id of the blob').slice(2)))
  const permutation = createPermutation(key, code.log2T)
  const { slotsOf, ownerOfSlot } = dealtSlots(epoch, code)
  return {
    rowsOf: (member) => slotsOf(checkInteger(member, 0, epoch.members.length - 1, 'the member')).map(permutation.rowOf),
    ownerOf: (row) => ownerOfSlot(permutation.slotOf(checkInteger(row, 0, code.t - 1, 'the row'))),
  }
}

interface Slots {
  slotsOf(member: number): Uint32Array
  ownerOfSlot(slot: number): number | undefined
}

/** Every member has its share of the slots. */
function dealtSlots({ members, totalWeight }: AssignmentEpoch, code: Code): Slots {
  const first = (member: number) => members[member]!.firstSlot[code.index]!
  const count = (member: number) => rowsOfShare(code, members[member]!.weight, totalWeight)
  return {
    slotsOf: (member) => Uint32Array.from({ length: count(member) }, (_, i) => first(member) + i),
    ownerOfSlot(slot) {
      const member = lastAtMost(members.length, (i) => first(i) <= slot)
      return slot < first(member) + count(member) ? member : undefined
    },
  }
}

/** The last index whose start `isAtMost` what is looked for; that of 0 always is. */
function lastAtMost(count: number, isAtMost: (index: number) => boolean): number {
  let [low, high] = [0, count]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (isAtMost(middle)) low = middle
    else high = middle
  }
  return low
}

/** A balanced Feistel network of twelve rounds on log2 T bits, an even number. */
function createPermutation(key: Uint8Array, log2T: number): { rowOf(slot: number): number; slotOf(row: number): number } {
  const half = log2T / 2
  const size = 2 ** half
  const mask = size - 1
  const functions = Array.from({ length: ROUNDS }, (_, round) => roundFunction(key, round, size))
  return {
    rowOf(slot) {
      let [left, right] = [slot >> half, slot & mask]
      for (let round = 0; round < ROUNDS; round++) [left, right] = [right, left ^ functions[round]![right]!]
      return (left << half) | right
    },
    slotOf(row) {
      let [left, right] = [row >> half, row & mask]
      for (let round = ROUNDS - 1; round >= 0; round--) [left, right] = [right ^ functions[round]![left]!, left]
      return (left << half) | right
    },
  }
}

/** F of a round for each of its `size` arguments: bytes of hashes, 32 arguments to each. */
function roundFunction(key: Uint8Array, round: number, size: number): Uint8Array {
  const values = new Uint8Array(size)
  for (let from = 0; from < size; from += 32) {
    const hash = threadKernel().keccak256(Uint8Array.of(...key, round, from / 32))
    values.set(hash.subarray(0, size - from), from)
  }
  return values.map((value) => value & (size - 1))
}

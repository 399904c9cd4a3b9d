import { getBytes, hexlify, type Wallet } from 'ethers'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { createGrpc } from '../../keepers/runtime/grpc.ts'
import { GrpcError } from '../../keepers/runtime/grpc-error.ts'
import { createAssignment } from '../../protocol/da/assignment.ts'
import { batchTree } from '../../protocol/da/batch-tree.ts'
import { blobIdOf } from '../../protocol/da/blob.ts'
import { deriveBlsKey, encodeG1, provePossession } from '../../protocol/da/bls.ts'
import { certificateDigest, signDigest } from '../../protocol/da/certificate.ts'
import type { DaContracts } from '../../sdk/da/contracts.ts'
import { EpochReader } from '../../sdk/da/epochs.ts'
import { blobFromWire, inclusionToWire } from '../../sdk/da/messages.ts'
import {
  type BlobDescription,
  type GetBlobRequest,
  type GetRowsRequest,
  MAX_MESSAGE_BYTES,
  type Rows,
  SignerService,
  type SignReply,
  type SignRequest,
  type StoreReply,
  type StoreRequest,
} from '../../sdk/da/wire.ts'
import { IBonds__factory } from '../../typechain-types/index.ts'

/** A member of epochs, with its own key and stake, that does what it is told. Its server is a real one. */
export interface RogueSigner {
  account: string
  url: string
  /** Keeps what it is given; otherwise it says so and forgets it. */
  keeps: boolean
  /** Signs whatever it is asked to; otherwise it refuses everything. */
  signs: boolean
  /** What becomes of an answer before it is sent. */
  describe: (description: BlobDescription) => BlobDescription
  rows: (rows: Rows) => Rows
  /** Its signatures of a batch, by itself. */
  sign(epoch: number, blobIds: readonly string[]): SignReply
  /** Puts up the stake and registers: it is a member from the next epoch on. */
  register(stake: bigint): Promise<void>
  close(): Promise<void>
}

interface Held {
  request: StoreRequest
  indices: Uint32Array
}

export async function startRogueSigner({ wallet, contracts, bonds }: { wallet: Wallet; contracts: DaContracts; bonds: string }): Promise<RogueSigner> {
  const { chainId } = await wallet.provider!.getNetwork()
  const domain = { chainId, contract: contracts.address }
  const bls = deriveBlsKey(getBytes(wallet.privateKey))
  const epochs = new EpochReader(contracts)
  const held = new Map<string, Held>()
  const batches: { epoch: number; blobIds: string[] }[] = []

  async function* store(requests: AsyncIterable<StoreRequest>): AsyncGenerator<StoreReply> {
    for await (const request of requests) {
      if (!rogue.signs) throw GrpcError.failedPrecondition('it refuses')
      const blob = blobFromWire(request.blob)
      const blobId = blobIdOf(blob)
      const epoch = await epochs.epoch(request.epoch)
      const member = epoch.members.findIndex(({ account }) => account === wallet.address)
      if (rogue.keeps) held.set(blobId, { request, indices: createAssignment(epoch, blobId, blob.log2K).rowsOf(member) })
      yield { blobId: getBytes(blobId), error: '' }
    }
  }

  function find(blobId: Uint8Array): Held {
    const found = held.get(hexlify(blobId))
    if (!found) throw GrpcError.notFound('unknown blob')
    return found
  }

  function description({ blobId }: GetBlobRequest): BlobDescription {
    const { request } = find(blobId)
    const id = hexlify(blobId)
    const inclusions = batches
      .filter(({ blobIds }) => blobIds.includes(id))
      .map(({ epoch, blobIds }) => ({ epoch, tree: batchTree(blobIds), index: blobIds.indexOf(id) }))
      .map(({ epoch, tree, index }) => ({ epoch, batchRoot: tree.root, index, proof: tree.proof(index) }))
    return { blobId, blob: request.blob, rlc: request.rlc, inclusions: inclusions.map(inclusionToWire), cursor: 0 }
  }

  async function* rowsOf({ blobId, rows: wanted }: GetRowsRequest): AsyncGenerator<Rows> {
    const { request, indices } = find(blobId)
    const at = [...indices.keys()].filter((i) => wanted.length === 0 || wanted.includes(indices[i]!))
    const part = (bytes: Uint8Array) => {
      const size = bytes.length / indices.length
      return Buffer.concat(at.map((i) => bytes.subarray(i * size, (i + 1) * size)))
    }
    yield rogue.rows({ indices: at.map((i) => indices[i]!), rows: part(request.rows), paths: part(request.paths) })
  }

  const refuse = async () => {
    throw GrpcError.failedPrecondition('it refuses')
  }
  const grpc = createGrpc({
    host: '127.0.0.1',
    port: 0,
    log: pino({ level: 'silent' }),
    metrics: new Registry(),
    ready: async () => undefined,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    services: [
      {
        definition: SignerService,
        handlers: {
          Store: store,
          Sign: async ({ epoch, blobIds }: SignRequest) => {
            if (!rogue.signs) return refuse()
            batches.push({ epoch, blobIds: blobIds.map((id) => hexlify(id)) })
            return rogue.sign(
              epoch,
              blobIds.map((id) => hexlify(id)),
            )
          },
          GetBlob: async (request: GetBlobRequest) => rogue.describe(description(request)),
          GetRows: rowsOf,
          GetChunks: refuse,
          ListBlobs: refuse,
          GetBatch: refuse,
          GetStatus: refuse,
        },
      },
    ],
  })
  const rogue: RogueSigner = {
    account: wallet.address,
    url: await grpc.listen(),
    keeps: true,
    signs: true,
    describe: (same) => same,
    rows: (same) => same,
    sign(epoch, blobIds) {
      const digest = certificateDigest(domain, epoch, batchTree(blobIds).root)
      return { bls: encodeG1(bls.sign(digest)), ecdsa: signDigest(wallet.signingKey, digest) }
    },
    async register(stake) {
      const challenges = await contracts.challenges.getAddress()
      const signers = contracts.signers.connect(wallet)
      await (await IBonds__factory.connect(bonds, wallet).bond(wallet.address, [challenges], await signers.bondDelay(), { value: stake })).wait()
      const { key, keyG2, proof, counter, y } = provePossession(bls, domain, wallet.address)
      await (await signers.register(key, keyG2, proof, counter, y, rogue.url)).wait()
    },
    close: () => grpc.close(),
  }
  return rogue
}

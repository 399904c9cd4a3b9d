import { status } from '@grpc/grpc-js'
import type { HardhatEthers } from '@nomicfoundation/hardhat-ethers/types'
import { getBytes, hexlify } from 'ethers'
import { Registry } from 'prom-client'
import type { EncodedRows } from '../../../codec/rows/index.ts'
import { createGrpc, type Grpc } from '../../../keepers/runtime/grpc.ts'
import { GrpcError } from '../../../keepers/runtime/grpc-error.ts'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { type Blob, blobIdOf, blobOf } from '../../../protocol/da/blob.ts'
import { shapeFor } from '../../../protocol/da/codes.ts'
import { CHUNK_SIZE, chunkLength } from '../../../protocol/da/row-path.ts'
import { connectDa } from '../../../sdk/da/contracts.ts'
import { blobToWire, inclusionToWire } from '../../../sdk/da/messages.ts'
import { type DaReader, openDaReader } from '../../../sdk/da/reader.ts'
import {
  type BlobDescription,
  type Chunks,
  type GetChunksRequest,
  type GetRowsRequest,
  type Rows,
  SignerService,
  type WireInclusion,
} from '../../../sdk/da/wire.ts'
import { certificate, deployDa, registerMany, type TestSigner } from '../../contracts/da/deploy.ts'
import { rememberingLog } from '../../keepers/runtime/quiet.ts'

/** What a blob's holders serve. */
export interface Published {
  blobId: string
  blob: Blob
  data: Uint8Array
  encoded: EncodedRows
  epoch: number
  inclusion: WireInclusion
}

/** How a signer differs from an honest one; each takes what the honest one would answer. */
export interface Faults {
  describe?: (description: BlobDescription) => BlobDescription | Promise<BlobDescription>
  rows?: (portion: Rows, request: GetRowsRequest) => Rows | Promise<Rows>
  chunks?: (chunks: Chunks) => Chunks
}

/** A signer's server that holds the rows it is given: honest, unless told otherwise. */
export class RowServer {
  faults: Faults = {}
  /** Rows asked for so far. */
  asked: number[] = []
  readonly #blobs = new Map<string, { description: BlobDescription; held: Uint32Array; encoded: EncodedRows }>()
  readonly #grpc: Grpc

  constructor() {
    const unused = async (): Promise<never> => {
      throw new GrpcError(status.UNIMPLEMENTED, 'not here')
    }
    this.#grpc = createGrpc({
      host: '127.0.0.1',
      port: 0,
      log: rememberingLog().log,
      metrics: new Registry(),
      ready: async () => undefined,
      maxMessageBytes: 16 * 2 ** 20,
      services: [
        {
          definition: SignerService,
          handlers: {
            Store: unused,
            Sign: unused,
            ListBlobs: unused,
            GetBatch: unused,
            GetStatus: unused,
            GetBlob: async ({ blobId }) => (this.faults.describe ?? ((same) => same))(this.#find(blobId).description),
            GetRows: (request) => this.#rows(request),
            GetChunks: async (request) => (this.faults.chunks ?? ((same) => same))(this.#chunks(request)),
          },
        },
      ],
    })
  }

  get url(): string {
    return this.#grpc.url
  }

  listen = (): Promise<string> => this.#grpc.listen()
  close = (): Promise<void> => this.#grpc.close()

  hold(description: BlobDescription, held: Uint32Array, encoded: EncodedRows): void {
    this.#blobs.set(hexlify(description.blobId), { description, held, encoded })
  }

  #find(blobId: Uint8Array) {
    const blob = this.#blobs.get(hexlify(blobId))
    if (!blob) throw new GrpcError(status.NOT_FOUND, 'unknown blob')
    return blob
  }

  async *#rows(request: GetRowsRequest): AsyncGenerator<Rows> {
    const { held, encoded } = this.#find(request.blobId)
    const wanted = Uint32Array.from(request.rows.filter((row) => held.includes(row)))
    this.asked.push(...request.rows)
    // Small portions, so that there are several.
    for (let from = 0; from < wanted.length; from += 50) {
      const indices = wanted.subarray(from, from + 50)
      const portion = { indices: [...indices], rows: encoded.rows(indices), paths: encoded.paths(indices) }
      yield (await this.faults.rows?.(portion, request)) ?? portion
    }
  }

  #chunks({ blobId, positions }: GetChunksRequest): Chunks {
    const { held, encoded } = this.#find(blobId)
    const chunks = positions.map(({ row, chunk }) => {
      if (!held.includes(row)) throw new GrpcError(status.NOT_FOUND, `row ${row} is not held`)
      const start = chunk * CHUNK_SIZE
      return { data: encoded.row(row).subarray(start, start + chunkLength(encoded.shape.rowSize, chunk)), path: encoded.chunkPath(row, chunk) }
    })
    return { chunks }
  }
}

export interface PublishOptions {
  epoch?: number
  certified?: boolean
  /** Members that do not sign. */
  absent?: number[]
  /** What its header says. */
  length?: number
  /** Makes of a right encoding what is published instead. */
  forge?: (encoded: EncodedRows) => EncodedRows
}
const honest = (encoded: EncodedRows): EncodedRows => encoded

/** Contracts with two epochs, the first of four signers and the second of seven; a server for each, and a reader. */
export async function startDa(ethers: HardhatEthers) {
  const of = await deployDa(ethers)
  const contracts = connectDa({ ...of.at }, of.governor)
  const servers: RowServer[] = []
  const signers: TestSigner[] = []
  const join = async (count: number): Promise<void> => {
    for (const signer of await registerMany(of, count, { from: signers.length })) {
      const server = new RowServer()
      await of.da.connect(signer.wallet).setUrl(await server.listen())
      servers.push(server)
      signers.push(signer)
    }
    await ethers.provider.send('evm_increaseTime', [Number(await of.da.epochLength()) + 1])
    await of.da.advance(1000)
  }
  await join(4)
  await join(3)
  const reader = openDaReader(contracts)
  const published: Published[] = []

  /** Gives a blob's rows to those who must hold them, and has it certified unless told otherwise. */
  async function publish(
    data: Uint8Array,
    { epoch = 2, certified = true, absent = [], length = data.length, forge = honest }: PublishOptions = {},
  ): Promise<Published> {
    const members = await reader.epochs.epoch(epoch)
    const shape = shapeFor(data.length, members.codes)
    const encoded = forge(await reader.codec.encode(data, shape))
    const blob = blobOf(shape, length, hexlify(encoded.rowRoot), hexlify(encoded.rlcRoot))
    const blobId = blobIdOf(blob)
    // Every batch is another one, also for a blob that was published before.
    const others = [ethers.id(`before ${published.length}`), ethers.id(`behind ${published.length}`)]
    const tree = batchTree([others[0]!, blobId, others[1]!])
    if (certified) await of.da.certify(...certificate(of, signers.slice(0, members.members.length), tree.root, { epoch, absent }))
    const assignment = createAssignment(members, blobId, blob.log2K)
    const description: BlobDescription = {
      blobId: getBytes(blobId),
      blob: blobToWire(blob),
      rlc: encoded.rlc,
      inclusions: [inclusionToWire({ epoch, batchRoot: tree.root, index: 1, proof: tree.proof(1) })],
      cursor: 1,
    }
    for (const member of members.members) serverOf(member.account).hold(description, assignment.rowsOf(member.index), encoded)
    published.push({ blobId, blob, data, encoded, epoch, inclusion: description.inclusions[0]! })
    return published.at(-1)!
  }
  const serverOf = (account: string): RowServer => servers[signers.findIndex(({ wallet }) => wallet.address === account)]!

  async function stop(): Promise<void> {
    for (const { encoded } of published) encoded.release()
    await reader.close()
    await Promise.all(servers.map((server) => server.close()))
  }
  return { ...of, contracts, reader, servers, signers, publish, serverOf, stop }
}
export type DaNetwork = Awaited<ReturnType<typeof startDa>> & { reader: DaReader }

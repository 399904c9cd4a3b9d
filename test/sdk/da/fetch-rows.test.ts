import assert from 'node:assert/strict'
import { network } from 'hardhat'
import { createAssignment } from '../../../protocol/da/assignment.ts'
import { fetchRows, LANES, type Piece } from '../../../sdk/da/fetch-rows.ts'
import { type LocatedBlob, locateBlob } from '../../../sdk/da/locate.ts'
import type { Rows, SignerClient } from '../../../sdk/da/wire.ts'
import { patternBytes } from '../../support/patterns.ts'
import { type DaNetwork, startDa } from './network.ts'

const { ethers } = await network.create()

describe('Fetching rows', function () {
  this.timeout(60_000)
  let da: DaNetwork
  let located: LocatedBlob

  before(async () => {
    da = await startDa(ethers)
    const { blobId } = await da.publish(Buffer.from(patternBytes('p1', 100_000)))
    located = await locateBlob(da.reader, blobId)
  })
  after(() => da?.stop())

  /** All rows that have owners, each a piece of its own. */
  function pieces(): Piece[] {
    const assignment = createAssignment(located.epoch, located.blobId, located.blob.log2K)
    return located.epoch.members.flatMap((member) => {
      const { url } = da.serverOf(member.account)
      const client = da.reader.signerAt(url)
      return Array.from(assignment.rowsOf(member.index), (row) => ({ member, url, client, rows: Uint32Array.of(row) }))
    })
  }

  it('asks no more signers at once than there is memory for', async () => {
    let [open, most] = [0, 0]
    const counted = (client: SignerClient): SignerClient => ({
      ...client,
      async *getRows(request, options): AsyncGenerator<Rows> {
        most = Math.max(most, ++open)
        try {
          yield* client.getRows(request, options)
        } finally {
          open--
        }
      },
    })
    const asked = pieces().map((piece) => ({ ...piece, client: counted(piece.client) }))
    const { indices } = await fetchRows(located, asked, { codec: da.reader.codec })
    assert.equal(new Set(indices).size, 256)
    assert.deepEqual([most, LANES], [16, 16])
  })

  it('asks for the rest of a signer’s rows, as far as they are wanted, before it asks who comes after it', async () => {
    const { epoch, blobId, blob } = located
    const assignment = createAssignment(epoch, blobId, blob.log2K)
    const asked: number[] = []
    const piece = (member: number, from: number, to: number, isGone = false): Piece => {
      const of = epoch.members[member]!
      const { url } = da.serverOf(of.account)
      const client: SignerClient = {
        ...da.reader.signerAt(url),
        async *getRows(request, options): AsyncGenerator<Rows> {
          asked.push(member)
          if (isGone) throw new Error('gone')
          yield* da.reader.signerAt(url).getRows(request, options)
        },
      }
      return { member: of, url, client, rows: assignment.rowsOf(member).subarray(from, to) }
    }
    const order = [piece(0, 0, 20), piece(1, 0, 135), piece(2, 0, 50, true), piece(3, 0, 51, true), piece(0, 20, 135), piece(4, 0, 135, true)]
    const { indices, sources } = await fetchRows(located, order, { codec: da.reader.codec })
    assert.equal(new Set(indices).size, 256)
    assert.deepEqual(sources.map(({ rows }) => rows).sort(), [121, 135])
    assert.deepEqual(asked, [0, 1, 2, 3, 0, 0])
  })

  it('asks nobody for who is gone already', async () => {
    const asked = pieces()
    for (const server of da.servers) server.asked = []
    await assert.rejects(fetchRows(located, asked, { codec: da.reader.codec, signal: AbortSignal.abort() }), { name: 'AbortError' })
    assert.deepEqual(
      da.servers.flatMap((server) => server.asked),
      [],
    )
  })

  it('ends what it asked for once it has enough, or its caller is gone', async () => {
    const ends: Promise<void>[] = []
    const hanging = (piece: Piece): Piece => ({
      ...piece,
      client: {
        ...piece.client,
        async *getRows(_request, { signal } = {}): AsyncGenerator<Rows> {
          const { promise, reject } = Promise.withResolvers<never>()
          ends.push(new Promise((resolve) => signal!.addEventListener('abort', () => resolve())))
          signal!.addEventListener('abort', () => reject(signal!.reason))
          yield await promise
        },
      },
    })
    const controller = new AbortController()
    const fetching = fetchRows(located, pieces().map(hanging), { codec: da.reader.codec, signal: controller.signal })
    controller.abort()
    await assert.rejects(fetching, { name: 'AbortError' })
    assert.equal(ends.length, LANES)
    await Promise.all(ends)
  })
})

import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { getBytes, hexlify } from 'ethers'
import { NO_BLOB } from '../../../protocol/da/batch-tree.ts'
import type { Blob } from '../../../protocol/da/blob.ts'
import { blobOf } from '../../../protocol/da/blob.ts'
import { CODES } from '../../../protocol/da/codes.ts'
import type { StoreRequest } from '../../../sdk/da/wire.ts'
import { commit, pathOf, rowLeaf, split } from '../../codec/rows/naive.ts'
import { all, type Da, type Dispersed, type RunningSigner, sample, startDa } from './network.ts'

/** A copy with one bit flipped. */
function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at]! ^= 1
  return copy
}

describe('a signer of data availability refuses', function () {
  this.timeout(300_000)
  let da: Da
  let signer: RunningSigner
  /** Everybody recovers the one, and has a part of the other. */
  let small: Dispersed
  let large: Dispersed

  before(async () => {
    da = await startDa()
    signer = await da.start('signer')
    await da.memberAfter(0)
    small = await da.dispersed(sample(1000, 1))
    large = await da.dispersed(sample(20_000, 2))
  })
  after(() => da.stop())
  afterEach(() => expect(signer.lines.filter(({ level }) => level === 'error')).to.deep.equal([]))

  /** Why the request with these changes is refused; nothing is stored then. */
  async function refusal(of: Dispersed, change: (request: StoreRequest) => Partial<StoreRequest> | Promise<Partial<StoreRequest>>): Promise<string> {
    const request = await da.request(of)
    const [reply] = await da.store(signer, { ...request, ...(await change(request)) })
    expect((await signer.client.getStatus()).blobs).to.equal(0)
    return reply!.error
  }
  const unpaid = () => ({ payment: null })
  const asItIs = () => ({})

  it('messages whose parts do not have the sizes of the blob', async () => {
    expect(await refusal(large, ({ rlc }) => ({ rlc: rlc.subarray(16) }))).to.equal('the field rlc has 4080 bytes: expected 4096')
    expect(await refusal(large, ({ rows }) => ({ rows: Buffer.concat([rows, rows.subarray(0, 64)]) }))).to.match(
      /^the field rows has 24640 bytes: expected 24576/,
    )
    expect(await refusal(large, ({ paths }) => ({ paths: paths.subarray(1) }))).to.match(/^the field paths has 61439 bytes: expected 61440/)
  })

  it('blobs that are none, and those in another code than the smallest of the epoch', async () => {
    expect(await refusal(small, () => ({ blob: null }))).to.equal('the message names no blob')
    expect(await refusal(small, ({ blob }) => ({ blob: { ...blob!, scheme: 2 } }))).to.match(/^the scheme is 2/)
    expect(await refusal(small, ({ blob }) => ({ blob: { ...blob!, rowSize: 128 } }))).to.match(/^the row size is 128: expected 64/)
    const { k, t, log2K, log2T } = CODES[1]!
    const shape = { k, t, log2K, log2T, rowSize: 64 }
    const dispersed = await da.encode(sample(1000, 3), shape)
    expect(await refusal(dispersed, unpaid)).to.equal('K is 256: expected 64, the smallest of the epoch that holds 1000 bytes')
    dispersed.encoded.release()
  })

  it('epochs that are over, or to come, and those it is no member of', async () => {
    expect(await refusal(small, () => ({ epoch: 2 }))).to.match(/^the epoch is 2: .* the current one, 1,/)
    expect(await refusal(small, () => ({ epoch: 0 }))).to.match(/^the epoch is 0: /)
    const stranger = await da.start('stranger', { privateKey: da.wallet(11).privateKey })
    const [reply] = await da.store(stranger, await da.request(small))
    expect(reply!.error).to.equal(`${da.wallet(11).address} is no member of epoch 1`)
    const sign = await stranger.client.sign({ epoch: 1, blobIds: [getBytes(small.blobId)] }).catch((error: Error) => error.message)
    expect(sign).to.include('is no member of epoch 1')
    await stranger.stop()
  })

  it('promises that are missing, too low, too short, too long, of somebody else, or uncovered', async () => {
    const changed = (changes: Parameters<Da['payment']>[2], payer?: Parameters<Da['payment']>[3]) => async () => ({
      payment: await da.payment(large.blobId, large.blob, changes, payer),
    })
    const { timestamp } = (await da.provider.getBlock('latest'))!
    const price = await da.contracts.payments.priceOf(large.blob.log2K, large.blob.rowSize)
    expect(await refusal(large, unpaid)).to.equal(`the blob is not paid for: its price is ${price} wei`)
    expect(await refusal(large, changed({ fee: price - 1n }))).to.equal(`the fee is ${price - 1n} wei: the price of the blob is ${price}`)
    expect(await refusal(large, changed({ deadline: timestamp + 60 }))).to.match(/^the promise ends at/)
    expect(await refusal(large, changed({ deadline: timestamp + 4000 }))).to.match(/^the promise ends at/)
    expect(await refusal(large, changed({ payer: da.wallet(12).address }))).to.match(/^the signature of the promise is not the payer's/)
    const poor = da.wallet(12)
    await (await da.contracts.payments.deposit(poor.address, { value: price * 2n - 1n })).wait()
    expect(await refusal(large, changed({ payer: poor.address, fee: price * 2n }, poor))).to.match(/has .* wei available and promised .*: deposit more/)
  })

  it('rows, paths and linear combinations with one bit flipped, of blobs it recovers and of those it does not', async () => {
    const ours = da.rowsOf(await da.epoch(), large)
    const atRow = 5 * large.blob.rowSize + 7
    expect(await refusal(large, ({ rows }) => ({ rows: flipped(rows, atRow) }))).to.match(new RegExp(`^row ${ours[5]} does not match`))
    expect(await refusal(large, ({ paths }) => ({ paths: flipped(paths, 40) }))).to.match(new RegExp(`^row ${ours[0]} does not match`))
    expect(await refusal(large, ({ rlc }) => ({ rlc: flipped(rlc, 0) }))).to.match(/^the rows can't be verified: .*combinations/)
    expect(await refusal(small, ({ rows }) => ({ rows: flipped(rows, 9) }))).to.match(/not those of a codeword|behind a blob/)
    expect(await refusal(small, ({ paths }) => ({ paths: flipped(paths, 40) }))).to.equal('the paths of the rows do not lead to the row root')
    expect(await refusal(small, ({ rlc }) => ({ rlc: flipped(rlc, 0) }))).to.match(/^the linear combinations are not those of the rows/)
  })

  it("rows that are another member's", async () => {
    const members = await da.epoch()
    const other = { ...members, members: members.members.map((member) => ({ ...member })) }
    // The neighbour's slots are where ours would be.
    const [we, neighbour] = [da.indexOf(members), (da.indexOf(members) + 1) % 4]
    other.members[we]!.firstSlot = members.members[neighbour]!.firstSlot
    const { rows, paths } = await da.request(large, other)
    expect(await refusal(large, () => ({ rows, paths }))).to.match(/^row \d+ does not match/)
  })

  /** What a disperser commits to who changes one of our rows before it does: all paths are right. */
  async function inconsistent(data: Uint8Array): Promise<Dispersed> {
    const { blob, encoded } = await da.dispersed(data)
    const shape = { ...encoded.shape }
    const every = Uint32Array.from({ length: shape.t }, (_, i) => i)
    const rows = split(encoded.rows(every), shape.rowSize)
    encoded.release()
    // All of ours are looked at, but the id, and with it what is ours, changes with the rows: so every parity row is another.
    for (const row of rows.slice(shape.k)) row[0]! ^= 1
    const { rowRoot, rlcRoot, rlc } = commit(rows, shape, 512)
    const leaves = rows.map((row) => rowLeaf(row, 512))
    const altered = {
      ...encoded,
      rlc,
      rows: (indices: Uint32Array) => new Uint8Array(Buffer.concat([...indices].map((index) => rows[index]!))),
      paths: (indices: Uint32Array) => new Uint8Array(Buffer.concat([...indices].flatMap((index) => pathOf(leaves, index)))),
    }
    const fake: Blob = { ...blob, rowRoot: hexlify(rowRoot), rlcRoot: hexlify(rlcRoot) }
    return da.dispersedAs(fake, altered)
  }

  it('rows that the disperser committed to but are not of one codeword', async () => {
    expect(await refusal(await inconsistent(sample(20_000, 4)), asItIs)).to.match(/^row \d+ does not match/)
    expect(await refusal(await inconsistent(sample(1000, 5)), asItIs)).to.match(/not those of a codeword|behind a blob/)
  })

  it('padding that is not zero', async () => {
    const shape = { ...CODES[0]!, rowSize: 64 }
    const padded = await da.encode(sample(4096, 6), shape)
    const blob = blobOf(shape, 4000, padded.blob.rowRoot, padded.blob.rlcRoot)
    const dispersed = await da.dispersedAs(blob, padded.encoded)
    expect(await refusal(dispersed, asItIs)).to.match(/^byte 4000 behind a blob of 4000 bytes/)
    padded.encoded.release()
  })

  it('what exceeds its quota, and what the disk does not take; both come in when there is room', async () => {
    const bounded = await da.start('bounded', { maxBytes: 1_048_576 })
    const big = await da.dispersed(sample(1_400_000, 7))
    expect((await da.store(bounded, await da.request(big)))[0]!.error).to.match(/^this signer stores 1048576 bytes at most, has 0, and these rows take \d+/)
    big.encoded.release()
    const request = await da.request(small)
    expect((await da.store(bounded, request))[0]!.error).to.equal('')
    const { seed } = await da.epoch()
    const temporary = join(bounded.folder, 'blobs', '1', `${large.blobId.slice(2)}-${seed.slice(2, 18)}.rows.tmp`)
    await symlink('/dev/full', temporary)
    expect((await da.store(bounded, await da.request(large)))[0]!.error).to.match(/^no space left to write/)
    expect((await da.store(bounded, await da.request(large)))[0]!.error).to.equal('')
    expect((await bounded.client.getStatus()).blobs).to.equal(2)
    const ask = (positions: { row: number; chunk: number }[]) =>
      bounded.client.getChunks({ blobId: getBytes(small.blobId), positions }).then(String, (error: Error) => error.message)
    expect(await ask([{ row: 0, chunk: 1 }])).to.include('there is no chunk 1')
    expect(await ask(Array(4097).fill({ row: 0, chunk: 0 }))).to.include('4097 chunks at once')
    await bounded.stop()
  })

  it('to start where it would register an address that is none', async () => {
    const started = await da.start('unreachable', { host: '0.0.0.0' }).catch((error: Error) => error.message)
    expect(started).to.include('host is 0.0.0.0, which is no address to register: set --public-url')
  })

  it('to sign what is not stored, nothing, or one thing twice, and to give what it does not have', async () => {
    const id = getBytes(small.blobId)
    const refusalOf = (call: Promise<unknown>) => call.then(() => 'fulfilled').catch((error: Error) => error.message)
    const sign = (epoch: number, blobIds: Uint8Array[]) => refusalOf(signer.client.sign({ epoch, blobIds }))
    expect(await sign(1, [id])).to.include(`1 of the 1 blobs are not stored for this epoch, ${small.blobId} among them`)
    expect(await sign(1, [])).to.include('expected 1 to 4096')
    expect(await sign(1, Array(4097).fill(id))).to.include('the batch has 4097 blobs')
    expect(await sign(1, [id, id])).to.include('a blob is in the batch twice')
    expect(await sign(1, [getBytes(NO_BLOB), getBytes(NO_BLOB)])).to.include('the batch has no blobs')
    expect(await sign(1, [getBytes(NO_BLOB), id])).to.include(`1 of the 1 blobs are not stored for this epoch, ${small.blobId} among them`)
    expect(await sign(1, [id.subarray(1)])).to.include('is not 32 bytes')
    expect(await sign(2, [id])).to.include('the epoch is 2')
    expect(await refusalOf(signer.client.getBlob({ blobId: id }))).to.include('nothing of')
    expect(await refusalOf(all(signer.client.getRows({ blobId: id, rows: [] })))).to.include('nothing of')
    expect(await refusalOf(signer.client.getChunks({ blobId: id, positions: [{ row: 0, chunk: 0 }] }))).to.include('nothing of')
  })
})

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open, readdir, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { getBytes, hexlify } from 'ethers'
import pino from 'pino'
import { Registry } from 'prom-client'
import { createGrpc } from '../../../keepers/runtime/grpc.ts'
import { batchTree } from '../../../protocol/da/batch-tree.ts'
import { packAbsent } from '../../../protocol/da/certificate.ts'
import { SignerService } from '../../../sdk/da/wire.ts'
import { newDataDir } from '../../support/data-dir.ts'
import { until } from '../../support/until.ts'
import { all, type Da, type Dispersed, OTHERS, type RunningSigner, sample, startDa } from './network.ts'
import { spawnSigner } from './process.ts'

/** Rows of a member, of four, of a blob of so many bytes; and the bytes of a row with its path. */
const [LENGTH, ROWS, ROW] = [20_000, 192, 128 + 10 * 32]
/** Seconds after which a certificate's batch is not waited for any more, and some. */
const LATE = 65
/** Often, and so rarely that only something else can be the cause: every job costs all signers of this process some time. */
const [SOON, NEVER] = [500, 86_400_000]
const QUIET = { checkMs: 500, pruneMs: NEVER, repairMs: NEVER, scrubMs: NEVER }

describe('a signer of data availability looks after its rows', function () {
  this.timeout(300_000)
  let da: Da
  /** The other members. */
  let peers: RunningSigner[]
  let seed = 1

  before(async () => {
    da = await startDa()
    const first = await da.start('first', QUIET)
    await da.memberAfter(0)
    await first.stop()
    await startPeers()
  })
  after(() => da.stop())

  const started: RunningSigner[] = []
  async function start(name: string, more: object): Promise<RunningSigner> {
    const signer = await da.start(name, { ...QUIET, ...more })
    started.push(signer)
    return signer
  }
  afterEach(async () => {
    for (const signer of started.splice(0)) await signer.stop()
    if (peers.length === 0) await startPeers()
  })

  async function startPeers(): Promise<void> {
    peers = await Promise.all(OTHERS.map((i) => da.start(`peer-${i}`, { ...QUIET, checkMs: 2000, privateKey: da.wallet(i).privateKey })))
    await until(
      async () => ((await Promise.all(peers.map(({ ready }) => ready()))).every((reason) => reason === undefined) ? true : undefined),
      'they are ready',
    )
  }
  async function stopPeers(): Promise<void> {
    for (const peer of peers.splice(0)) await peer.stop()
  }

  /** Blobs in one certificate, of the peers and, if it is given, the signer. */
  async function publish(count: number, signer?: RunningSigner) {
    const members = await da.epoch()
    const blobs = await Promise.all(Array.from({ length: count }, () => da.dispersed(sample(LENGTH, seed++))))
    const blobIds = blobs.map(({ blobId }) => getBytes(blobId))
    const holders = [
      ...OTHERS.map((i, at) => ({ account: da.wallet(i).address, at: peers[at]! })),
      ...(signer ? [{ account: da.keeper.address, at: signer }] : []),
    ]
    const signatures = new Map<string, Uint8Array>()
    await Promise.all(
      holders.map(async ({ account, at }) => {
        const replies = await da.store(at, ...(await Promise.all(blobs.map((blob) => da.request(blob, members, account)))))
        expect(replies.map(({ error }) => error)).to.deep.equal(blobs.map(() => ''))
        signatures.set(account, (await at.client.sign({ epoch: members.epoch, blobIds })).ecdsa)
      }),
    )
    const { root } = batchTree(blobs.map(({ blobId }) => blobId))
    const absent = packAbsent(members.members.filter(({ account }) => !signatures.has(account)).map(({ index }) => index))
    const list = members.members.flatMap(({ account }) => signatures.get(account) ?? [])
    await (await da.contracts.certificates.certifyBySignatures(root, members.epoch, absent, Buffer.concat(list))).wait()
    await until(async () => ((await Promise.all(peers.map(({ client }) => client.getBlob({ blobId: blobIds[0]! })))) ? true : undefined), 'peers have it')
    return { blobs, root, absent, members }
  }

  const heldRows = async ({ client }: Pick<RunningSigner, 'client'>, { blobId }: Dispersed): Promise<number[]> =>
    (await all(client.getRows({ blobId: getBytes(blobId), rows: [] })).catch(() => [])).flatMap(({ indices }) => indices)
  const hasAll = (signer: Pick<RunningSigner, 'client'>, blobs: Dispersed[]) =>
    until(
      async () => ((await Promise.all(blobs.map((blob) => heldRows(signer, blob)))).every(({ length }) => length === ROWS) ? true : undefined),
      'all rows',
      60_000,
    )
  const fileOf = async ({ folder }: RunningSigner, { blobId }: Dispersed): Promise<string> => {
    for (const epoch of await readdir(join(folder, 'blobs'))) {
      const name = (await readdir(join(folder, 'blobs', epoch))).find((name) => name.startsWith(blobId.slice(2)) && name.endsWith('.rows'))
      if (name) return join(folder, 'blobs', epoch, name)
    }
    throw new Error(`there is no file of ${blobId}`)
  }
  async function rot(signer: RunningSigner, blob: Dispersed, row = 3): Promise<void> {
    const file = await open(await fileOf(signer, blob), 'r+')
    const start = (await file.stat()).size - ROWS * ROW
    await file.write(Uint8Array.of(7), 0, 1, start + row * 128 + 5)
    await file.close()
  }
  const said = ({ lines }: RunningSigner, text: string) => lines.filter(({ message }) => message === text).length
  const metric = (signer: RunningSigner, line: string, value: number) =>
    until(async () => ((await signer.metric(line)) === value ? true : undefined), `${line} is ${value}`, 60_000)

  it('given a bit that rotted, finds it by itself, and fetches the blob back: the same file', async () => {
    const signer = await start('rot', { repairMs: SOON, scrubMs: SOON })
    const { blobs, members } = await publish(2, signer)
    await rot(signer, blobs[0]!)
    await metric(signer, 'da_signer_repaired_blobs_total', 1)
    await hasAll(signer, blobs)
    expect(await heldRows(signer, blobs[0]!)).to.deep.equal([...da.rowsOf(members, blobs[0]!)])
    expect(said(signer, 'stored rows are damaged')).to.equal(1)
    await metric(signer, 'da_signer_missing_blobs', 0)
    await metric(signer, 'da_signer_damaged_blobs', 0)
  })

  it('reads its files no faster than it is told, and after a restart goes on where it was stopped', async () => {
    const signer = await start('scrub', {})
    const { blobs } = await publish(6, signer)
    await signer.stop()
    const rate = 65_536
    const began = performance.now()
    const slow = await start('scrub', { scrubMs: 5000, scrubRate: rate })
    const read = await until(async () => {
      const bytes = (await slow.metric('da_signer_scrubbed_bytes_total'))!
      return bytes >= 2.5 * ROWS * ROW ? bytes : undefined
    }, 'some of it is read')
    expect(read).to.be.at.most((rate * (performance.now() - began)) / 1000 + 262_144)
    await slow.stop()
    const fast = await start('scrub', { scrubMs: 5000, scrubRate: 2 ** 30 })
    await until(async () => ((await fast.metric('da_signer_scrubbed_timestamp_seconds'))! > 0 ? true : undefined), 'the round is over')
    expect(await fast.metric('da_signer_scrubbed_bytes_total'))
      .to.be.at.least(ROWS * ROW)
      .and.at.most((blobs.length - 2) * ROWS * ROW)
  })

  it('given a file that somebody put back, takes it as it is', async () => {
    const signer = await start('restored', { repairMs: SOON })
    const { blobs } = await publish(1, signer)
    await stopPeers()
    const path = await fileOf(signer, blobs[0]!)
    await rename(path, `${path}.copy`)
    expect(await heldRows(signer, blobs[0]!)).to.deep.equal([])
    await metric(signer, 'da_signer_unrepairable_blobs', 1)
    await rename(`${path}.copy`, path)
    await metric(signer, 'da_signer_damaged_blobs', 0)
    await hasAll(signer, blobs)
    expect(await signer.metric('da_signer_repaired_blobs_total')).to.equal(0)
  })

  it('given a file of another blob in the place of one, says so, and fetches that blob back', async () => {
    const signer = await start('swapped', { repairMs: SOON })
    const { blobs, members } = await publish(2, signer)
    const [path, other] = [await fileOf(signer, blobs[0]!), await fileOf(signer, blobs[1]!)]
    await rm(path)
    await symlink(other, path)
    expect(await heldRows(signer, blobs[0]!)).to.deep.equal([])
    await hasAll(signer, blobs)
    expect(await heldRows(signer, blobs[0]!)).to.deep.equal([...da.rowsOf(members, blobs[0]!)])
  })

  it('given blobs that were certified while it was away, learns which they are, and gets its rows of them', async () => {
    const away = await publish(3)
    const signer = await start('away', { repairMs: SOON })
    await da.travel(LATE)
    await hasAll(signer, away.blobs)
    const { blobId } = away.blobs[1]!
    const { inclusions } = await signer.client.getBlob({ blobId: getBytes(blobId) })
    expect(inclusions.map(({ index }) => index)).to.deep.equal([1])
    const listed = async () => (await all(signer.client.listBlobs({ cursor: 0 }))).map(({ blobId }) => hexlify(blobId))
    await until(async () => ((await listed()).includes(blobId) ? true : undefined), 'it lists them')
    const { epoch } = away.members
    expect((await signer.client.getBatch({ batchRoot: getBytes(away.root), epoch })).blobIds.map(Buffer.from)).to.deep.equal(
      away.blobs.map(({ blobId }) => Buffer.from(getBytes(blobId))),
    )
    // What it learnt is on disk as what it signed is.
    expect((await readdir(join(signer.folder, 'batches'))).some((name) => name.endsWith(away.root.slice(2)))).to.equal(true)
  })

  it('given a challenge for a row that is gone with its disk and database, gets it before all else, and answers', async () => {
    const before = await start('whole', {})
    const { blobs, root, absent, members } = await publish(2, before)
    await before.stop()
    const { challenges } = da.contracts
    const [, blob] = blobs as [Dispersed, Dispersed]
    const row = da.rowsOf(members, blob)[17]!
    const proof = batchTree(blobs.map(({ blobId }) => blobId)).proof(1)
    const question = { batchRoot: root, absent, blobIndex: 1, blobProof: proof, blob: blob.blob, member: da.indexOf(members), row, chunk: 0 }
    await (await challenges.open(question, { value: await challenges.deposit() })).wait()
    const signer = await start('replaced', {})
    const id = await challenges.challengeId(blob.blobId, da.keeper.address, row, 0)
    const answered = () => challenges.queryFilter(challenges.filters.ChallengeAnswered(id))
    await until(async () => ((await answered()).length === 1 ? true : undefined), 'it is answered', 60_000)
    expect(await heldRows(signer, blob)).to.have.length(ROWS)
  })

  it('given that no other member can be reached, or one that names wrong blobs, waits, says so, and loses nothing', async () => {
    const signer = await start('alone', { repairMs: SOON })
    await until(async () => ((await signer.ready()) === undefined ? true : undefined), 'it is ready')
    await da.travel(LATE)
    for (const line of ['da_signer_unknown_batches', 'da_signer_missing_blobs']) await metric(signer, line, 0)
    const { blobs } = await publish(2, signer)
    const missed = await publish(1)
    await stopPeers()
    const liar = createGrpc({
      host: '127.0.0.1',
      port: 0,
      log: pino({ level: 'silent' }),
      metrics: new Registry(),
      ready: async () => undefined,
      services: [
        {
          definition: SignerService,
          handlers: {
            ...Object.fromEntries(['Store', 'GetRows', 'ListBlobs'].map((name) => [name, async function* () {}])),
            ...Object.fromEntries(['Sign', 'GetBlob', 'GetChunks', 'GetStatus'].map((name) => [name, async () => ({})])),
            GetBatch: async () => ({ blobIds: [getBytes(blobs[0]!.blobId)] }),
          },
        },
      ],
    })
    await (await da.contracts.signers.connect(da.wallet(OTHERS[0]!)).setUrl(await liar.listen())).wait()
    await rot(signer, blobs[0]!)
    expect(await heldRows(signer, blobs[0]!)).to.have.length(ROWS - 1)
    await da.travel(LATE)
    await metric(signer, 'da_signer_unrepairable_blobs', 1)
    await metric(signer, 'da_signer_unknown_batches', 1)
    await metric(signer, 'da_signer_missing_blobs', 1)
    expect(said(signer, 'rows that should be here could not be fetched back: trying again')).to.equal(1)
    expect(await heldRows(signer, blobs[0]!), 'the others are served').to.have.length(ROWS - 1)
    expect(await heldRows(signer, blobs[1]!)).to.have.length(ROWS)
    await signer.stop()
    await liar.close()

    await startPeers()
    const again = await start('alone', { repairMs: SOON })
    await hasAll(again, [...blobs, ...missed.blobs])
    await metric(again, 'da_signer_unrepairable_blobs', 0)
    await metric(again, 'da_signer_unknown_batches', 0)
  })

  it('given a disk that is full, keeps what it has, and goes on when there is room', async function () {
    if (!existsSync('/dev/full')) this.skip()
    const full = await start('full', { repairMs: SOON })
    const { blobs } = await publish(2, full)
    const path = await fileOf(full, blobs[0]!)
    await symlink('/dev/full', `${path}.tmp`)
    await rm(path)
    expect(await heldRows(full, blobs[0]!)).to.deep.equal([])
    const trouble = await until(async () => full.lines.find(({ message }) => message.includes('could not be fetched back')), 'it says so')
    expect(JSON.stringify(trouble)).to.include('no space left to write')
    expect(await heldRows(full, blobs[1]!)).to.have.length(ROWS)
    await hasAll(full, blobs)
  })

  it('given a kill in the middle of a repair, has what was whole before, and gets the rest', async () => {
    const { path, remove } = await newDataDir()
    const { blobs } = await publish(12)
    await da.travel(LATE)
    const config = { ...da.config({ dataDir: path }), ...QUIET, repairMs: 1000 }
    const first = await spawnSigner(config)
    await until(
      async () => ((await heldRows(first, blobs[0]!)).length + (await heldRows(first, blobs[11]!)).length > 0 ? true : undefined),
      'one is there',
      60_000,
    )
    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    first.client.close()
    const names = (await readdir(join(path, 'blobs'), { recursive: true })).filter((name) => name.endsWith('.rows'))

    const second = await spawnSigner(config)
    expect((await second.client.getStatus()).blobs).to.be.at.least(names.length)
    await hasAll(second, blobs)
    second.client.close()
    second.child.kill('SIGTERM')
    expect(await once(second.child, 'exit')).to.deep.equal([0, null])
    remove()
  })

  it('given blobs of an epoch that it was no member of, leaves them to those who were', async () => {
    const veteran = await start('veteran', {})
    const before = await publish(1, veteran)
    const late = { privateKey: da.wallet(11).privateKey, repairMs: SOON }
    const newcomer = await start('newcomer', late)
    await until(
      async () => ((await da.contracts.signers.signerIdOf(da.wallet(11).address)) > 0n && (await newcomer.ready()) === undefined) || undefined,
      'it is registered',
    )
    const { epoch } = await da.epoch()
    await da.travel(130)
    await da.memberAfter(epoch)
    const after = await publish(1, veteran)
    await da.travel(LATE)
    await until(async () => ((await heldRows(newcomer, after.blobs[0]!)).length > 0 ? true : undefined), 'it has rows of the new one', 60_000)
    expect(await heldRows(newcomer, before.blobs[0]!)).to.deep.equal([])
  })
})

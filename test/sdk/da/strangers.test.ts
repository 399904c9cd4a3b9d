import assert from 'node:assert/strict'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { Registry } from 'prom-client'
import { createGrpc, type Grpc } from '../../../keepers/runtime/grpc.ts'
import { GrpcError } from '../../../keepers/runtime/grpc-error.ts'
import { providerOf } from '../../../sdk/cli/options.ts'
import { connectAvailability } from '../../../sdk/da/contracts.ts'
import { openDaReader } from '../../../sdk/da/reader.ts'
import { type Anywhere, signersAnywhere } from '../../../sdk/da/strangers.ts'
import { connectSigner, SignerService } from '../../../sdk/da/wire.ts'
import { rememberingLog } from '../../keepers/runtime/quiet.ts'
import { startTestChain } from '../../keepers/runtime/test-chain.ts'

const STATUS = { account: new Uint8Array(20), signerId: 7, epoch: 1, blobs: 0, bytes: 0 }
const NOWHERE = `0x${'11'.repeat(20)}`
const never: Anywhere = async () => false
const always: Anywhere = async () => true

/** What a signer says of itself, at an address that a stranger named. */
async function ask(url: string, anywhere: Anywhere): Promise<number> {
  const signer = connectSigner(url, { anywhere })
  try {
    return (await signer.getStatus({ timeout: 10_000 })).signerId
  } finally {
    signer.close()
  }
}

describe('Signers at addresses that strangers named', function () {
  this.timeout(30_000)
  let grpc: Grpc
  let port: string

  before(async () => {
    const unused = async (): Promise<never> => Promise.reject(GrpcError.invalidArgument('not here'))
    const names = ['Store', 'Sign', 'GetBlob', 'GetRows', 'GetChunks', 'ListBlobs', 'GetBatch']
    const handlers = { ...Object.fromEntries(names.map((name) => [name, unused])), GetStatus: async () => STATUS }
    const services = [{ definition: SignerService, handlers }]
    grpc = createGrpc({
      host: '127.0.0.1',
      port: 0,
      log: rememberingLog().log,
      metrics: new Registry(),
      ready: async () => undefined,
      maxMessageBytes: 1024,
      services,
    })
    port = (await grpc.listen()).split(':')[1]!
  })
  after(() => grpc?.close())

  it('are connected to where any address may be', async () => {
    for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]']) assert.equal(await ask(`${host}:${port}`, always), 7, host)
  })

  it('are not even knocked at where they are not public, by whatever name', async () => {
    let knocks = 0
    const server: Server = createServer((socket) => socket.destroy(void knocks++))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    // The last three are names to us, and 127.0.0.1 to whatever looks names up.
    for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', 'localhost', '127.1', '2130706433'])
      await assert.rejects(ask(`${host}:${port}`, never), { code: 'NETWORK', message: /is not a public address; private ones/ }, host)
    assert.equal(knocks, 0)
    await assert.rejects(ask(`127.0.0.1:${port}`, always), { code: 'NETWORK' })
    assert.notEqual(knocks, 0)
    await new Promise((resolve) => server.close(resolve))
  })

  it('are reached once it is known that they may be, where that could not be told before', async () => {
    let known = false
    const signer = connectSigner(`127.0.0.1:${port}`, { anywhere: async () => known || Promise.reject(new Error('no chain')) })
    await assert.rejects(signer.getStatus(), { code: 'NETWORK', message: /may be connected to is unknown: no chain/ })
    known = true
    for (;;) {
      const found = await signer.getStatus().catch(({ code }) => assert.equal(code, 'NETWORK'))
      if (!found) continue // the channel waits a little before it looks again
      assert.equal(found.signerId, 7)
      break
    }
    signer.close()
  })

  it('closed while it is decided, hear nothing more', async () => {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const signer = connectSigner(`127.0.0.1:${port}`, { anywhere: () => promise })
    const asked = signer.getStatus()
    signer.close()
    resolve(true)
    await assert.rejects(asked, { name: 'PerigeeError' })
  })

  it('are no sockets of this machine, though they read like host and port', async () => {
    for (const url of ['unix:34000', 'unix-abstract:34000', 'ipv4:34000'])
      for (const anywhere of [always, undefined]) {
        const signer = connectSigner(url, { anywhere })
        await assert.rejects(signer.getStatus({ timeout: 20_000 }), { code: 'NETWORK', message: /Name resolution failed/ }, url)
        signer.close()
      }
  })

  it('may be anywhere on a local chain, or where the reader allows it, and nowhere else', async () => {
    for (const [chainId, privateSigners, expected] of [
      [31337, false, true],
      [1337, false, true],
      [16661, false, false],
      [16661, true, true],
    ] as const) {
      const chain = await startTestChain({ chainId })
      const provider = providerOf({ rpcUrl: chain.rpcUrl, accounts: [] })
      assert.equal(await signersAnywhere(provider, privateSigners)(), expected)
      const reader = openDaReader(connectAvailability(NOWHERE, provider), { privateSigners })
      const status = reader.signerAt(`127.0.0.1:${port}`).getStatus()
      await (expected ? status : assert.rejects(status, { code: 'NETWORK', message: /127\.0\.0\.1 is not a public address/ }))
      await reader.close()
      await chain.stop()
    }
  })

  it('are asked about again when the chain could not be', async () => {
    let calls = 0
    const getNetwork = async () => (calls++ === 0 ? Promise.reject(new Error('away')) : { chainId: 31337n })
    const anywhere = signersAnywhere({ provider: { getNetwork } } as never, false)
    await assert.rejects(anywhere(), /away/)
    assert.deepEqual([await anywhere(), await anywhere(), calls], [true, true, 2])
  })
})

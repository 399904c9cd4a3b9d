import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, devAccounts, startChain } from '../../devnet/chain.ts'

interface Block {
  number: string
  hash: string
  parentHash: string
  timestamp: string
}

const WEEK = 7 * 24 * 3600
const [, , , , , , alice, bob] = devAccounts()
const transfer = { from: alice!.address, to: bob!.address, value: '0x1' }

describe('devnet: chain', () => {
  let folder: string
  let journal: string
  let chain: Chain

  const start = async (options = {}) => {
    chain = await startChain({ journal, ...options })
    return chain
  }
  const restart = async (options = {}) => {
    await chain.stop()
    return start(options)
  }
  const block = (tag: string | number = 'latest') =>
    chain.request('eth_getBlockByNumber', [typeof tag === 'number' ? `0x${tag.toString(16)}` : tag, false]) as Promise<Block>
  const send = (request = transfer) => chain.request('eth_sendTransaction', [request]) as Promise<string>
  const entries = () => readFileSync(journal, 'utf8').trimEnd().split('\n').slice(1)
  const post = async (body: string, headers = {}) => {
    const response = await fetch(chain.url, { method: 'POST', body, headers })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
  }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-chain-'))
    journal = join(folder, 'chain.jsonl')
    await start()
  })
  afterEach(async () => {
    await chain.stop()
    rmSync(folder, { recursive: true })
  })

  describe('journal', () => {
    it('brings back every block with its hash, and the state', async () => {
      for (let i = 0; i < 5; i++) await send()
      await chain.request('hardhat_mine', ['0x20', '0xc'])
      await send()
      const before = await Promise.all([0, 1, 3, 20, 37, 'latest'].map(block))
      const balance = await chain.request('eth_getBalance', [bob!.address, 'latest'])
      await restart()
      assert.deepEqual(await Promise.all([0, 1, 3, 20, 37, 'latest'].map(block)), before)
      assert.equal(await chain.request('eth_getBalance', [bob!.address, 'latest']), balance)
    })

    it('keeps what was acknowledged after a torn line, over two restarts', async () => {
      await send()
      await chain.stop()
      appendFileSync(journal, '{"call":"eth_sendRawTra')
      await start()
      await send()
      const { hash } = await block()
      await restart()
      assert.equal((await block()).hash, hash)
      assert.equal(Number((await block()).number), 2)
    })

    it('refuses a journal that is damaged in the middle, and names the line', async () => {
      await send()
      await send()
      await chain.stop()
      const lines = readFileSync(journal, 'utf8').split('\n')
      writeFileSync(journal, [lines[0], '{"damaged', ...lines.slice(2)].join('\n'))
      await assert.rejects(start(), /line 2 is damaged/)
      rmSync(journal)
      await start()
    })

    it('notices when a replay yields another block', async () => {
      await send()
      await chain.stop()
      writeFileSync(journal, readFileSync(journal, 'utf8').replace('"value":"0x1"', '"value":"0x2"'))
      await assert.rejects(start(), /line 2 replays to block .* start afresh with --reset/)
      rmSync(journal)
      await start()
    })

    it('does not keep refused transactions but keeps reverted ones', async () => {
      await assert.rejects(chain.request('eth_sendRawTransaction', ['0x1234']))
      await assert.rejects(send({ ...transfer, value: `0x${'f'.repeat(40)}` }))
      assert.equal(entries().length, 0)
      // Init code of one byte, INVALID: the creation fails on chain.
      const hash = await chain.request('eth_sendTransaction', [{ from: alice!.address, data: '0xfe', gas: '0x186a0' }])
      const receipt = (await chain.request('eth_getTransactionReceipt', [hash])) as { status: string }
      assert.equal(receipt.status, '0x0')
      await restart()
      assert.deepEqual(await chain.request('eth_getTransactionReceipt', [hash]), receipt)
    })

    it('survives snapshots, reverts, automining off and state overrides', async () => {
      const id = await chain.request('evm_snapshot', [])
      await send()
      await chain.request('evm_revert', [id])
      await chain.request('evm_setAutomine', [false])
      await send()
      await send({ ...transfer, nonce: '0x1' } as never)
      await chain.request('evm_mine', [])
      await chain.request('hardhat_setBalance', [bob!.address, '0x7'])
      await chain.request('evm_mine', [])
      const before = await block()
      assert.equal(Number(before.number), 2)
      await restart()
      assert.deepEqual(await block(), before)
      assert.equal(await chain.request('eth_getBalance', [bob!.address, 'latest']), '0x7')
    })
  })

  describe('time', () => {
    const seconds = async () => Number((await block()).timestamp)

    it('honours evm_increaseTime, and again after a restart', async () => {
      await send()
      const t = await seconds()
      await chain.request('evm_increaseTime', [WEEK])
      await send()
      assert.ok((await seconds()) >= t + WEEK)
      const { hash } = await block()
      await restart()
      assert.equal((await block()).hash, hash)
      await send()
      assert.ok((await seconds()) >= t + WEEK, 'the clock stays ahead')
    })

    it('takes the timestamp asked for, and goes on from there', async () => {
      const asked = (await seconds()) + 1_000_000
      await chain.request('evm_setNextBlockTimestamp', [asked])
      await restart()
      await send()
      assert.equal(await seconds(), asked)
      await send()
      assert.ok((await seconds()) >= asked && (await seconds()) < asked + 60)
      await chain.request('evm_mine', [asked + 5000])
      assert.equal(await seconds(), asked + 5000)
      await assert.rejects(chain.request('evm_mine', [asked]), /lower than/)
      await assert.rejects(chain.request('evm_mine', ['soon']), /whole number/)
    })

    it('accepts sends after hardhat_mine ran ahead of the wall clock', async () => {
      await chain.request('hardhat_mine', ['0x3e8', '0x3c'])
      const t = await seconds()
      await send()
      await send()
      assert.ok((await seconds()) >= t)
      await restart()
      await send()
      assert.ok((await seconds()) >= t)
    })
  })

  describe('idle blocks', () => {
    it('links every block to its parent, in long rounds too', async () => {
      await chain.request('hardhat_mine', ['0x40'])
      await send()
      for (let n = 1; n <= 65; n++) assert.equal((await block(n)).parentHash, (await block(n - 1)).hash, `block ${n}`)
    })

    it('fills a week of downtime at once, with one entry, and keeps every hash', async () => {
      await send()
      await chain.stop()
      // The chain last ran a week ago.
      shiftBack(journal, WEEK)
      await start({ blockTime: 1 })
      const head = Number((await block()).number)
      assert.ok(head >= WEEK, `only ${head} blocks`)
      assert.ok(Math.abs(Number((await block()).timestamp) - Date.now() / 1000) < 5)
      assert.ok(entries().length <= 3, `${entries().length} entries`)
      await send()
      const before = await Promise.all([2, WEEK / 2, head].map(block))
      const started = performance.now()
      await restart({ blockTime: 1 })
      assert.ok(performance.now() - started < 10_000)
      assert.deepEqual(await Promise.all([2, WEEK / 2, head].map(block)), before)
    })

    it('writes blocks mined one by one as one line that grows in place, and replays them to the same hashes', async () => {
      await restart({ blockTime: 1 })
      await until(async () => Number((await block()).number) >= 3)
      const { hash, number } = await block()
      assert.ok(entries().length <= 2, entries().join('\n'))
      await restart()
      assert.equal((await block(Number(number))).hash, hash)
    })

    it('leaves the next block to whoever set its timestamp', async () => {
      await restart({ blockTime: 1 })
      const asked = Number((await block()).timestamp) + 3600
      await chain.request('evm_setNextBlockTimestamp', [asked])
      await new Promise((resolve) => setTimeout(resolve, 1500))
      await send()
      assert.equal(Number((await block()).timestamp), asked)
    })
  })

  describe('JSON-RPC', () => {
    it('answers malformed requests with errors and stays up', async () => {
      const cases: [string, number][] = [
        ['', -32700],
        ['{', -32700],
        ['null', -32600],
        ['"x"', -32600],
        ['[]', -32600],
        ['{"id":1}', -32600],
        ['{"jsonrpc":"2.0","id":1,"method":5}', -32600],
        ['{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":"no"}', -32602],
        ['{"jsonrpc":"2.0","id":1,"method":"__proto__"}', -32004],
        ['{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":[{},[]]}', -32602],
        ['{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction"}', -32602],
        ['{"jsonrpc":"2.0","id":1,"method":"hardhat_reset"}', -32004],
      ]
      for (const [body, code] of cases) assert.equal((await post(body)).body.error?.code, code, body)
      assert.equal((await post('{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}')).body.result, '0x7a69')
    })

    it('answers batches in order, notifications not at all, and echoes ids', async () => {
      const { body } = await post(
        '[{"jsonrpc":"2.0","id":18000000000000000,"method":"eth_chainId"},null,{"jsonrpc":"2.0","method":"eth_chainId"},{"jsonrpc":"2.0","id":"b","method":"net_version"}]',
      )
      assert.deepEqual(
        body.map((r: { id: unknown; result?: unknown }) => [r.id, r.result]),
        [
          [18000000000000000, '0x7a69'],
          [null, undefined],
          ['b', '31337'],
        ],
      )
      assert.equal((await post('[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}]')).body.length, 1)
      assert.equal((await post('{"jsonrpc":"2.0","method":"eth_chainId"}')).body, undefined)
    })

    it('gives null results and revert data as clients expect them', async () => {
      assert.equal((await post(`{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionReceipt","params":["0x${'0'.repeat(64)}"]}`)).body.result, null)
      // Reverts with the four bytes 01020304.
      const data = '0x6301020304600052600460 1cfd'.replace(' ', '')
      const call = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_call', params: [{ data }, 'latest'] })
      const { error } = (await post(call)).body
      assert.equal(error.data, '0x01020304')
      assert.match(error.message, /revert/)
    })

    it('is open to browsers, on the loopback interface only, up to a size', async () => {
      const { headers } = await post('{}', { origin: 'http://localhost:3000' })
      assert.equal(headers.get('access-control-allow-origin'), '*')
      assert.match(chain.url, /^http:\/\/127\.0\.0\.1:/)
      assert.equal((await post(' '.repeat(33 * 1024 * 1024))).status, 413)
    })
  })
})

/** Makes a journal look as if all of it had happened `seconds` earlier. */
function shiftBack(path: string, seconds: number) {
  const [header, ...rest] = readFileSync(path, 'utf8').trimEnd().split('\n')
  const genesis = JSON.parse(header!)
  genesis.genesisTime = new Date(Date.parse(genesis.genesisTime) - seconds * 1000).toISOString()
  const entries = rest.map((line) => {
    const { head: _, ...entry } = JSON.parse(line)
    return { ...entry, time: entry.time - seconds }
  })
  writeFileSync(path, [genesis, ...entries].map((line) => `${JSON.stringify(line)}\n`).join(''))
}

async function until(condition: () => Promise<boolean>) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 100))
}

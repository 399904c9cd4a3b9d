import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import { isSignedText } from '../../../protocol/compute/signature.ts'
import { newDataDir } from '../../support/data-dir.ts'
import type { UpstreamServer } from '../compute-backends/upstream-server.ts'
import { eventually } from '../runtime/quiet.ts'
import { ask, type Market, QUESTION, startMarket, startModel } from './market.ts'

describe('a provider that is killed', function () {
  this.timeout(180_000)
  let market: Market
  let model: UpstreamServer

  before(async () => {
    market = await startMarket()
    model = await startModel()
  })
  after(async () => {
    await model?.stop()
    await market?.stop()
  })

  async function startVictim(dataDir: string): Promise<{ child: ChildProcess; url: string }> {
    const config = JSON.stringify(market.config(model, { dataDir }))
    const loader = new URL('../../../scripts/ts.mjs', import.meta.url).href
    const child = spawn(process.execPath, ['--import', loader, new URL('victim.ts', import.meta.url).pathname, config], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let url = ''
    child.stdout!.on('data', (text: Buffer) => {
      url += text
    })
    await eventually('the provider serves', () => url.endsWith('\n') || child.exitCode !== null, 60_000)
    await eventually('it is ready', async () => (await fetch(`${url.trim()}/readyz`)).ok, 60_000)
    return { child, url: url.trim() }
  }

  it('given kill -9 under load, twice, every answer whose last byte arrived has its receipt, and receipts count without gaps', async () => {
    const folder = await newDataDir()
    let bearer = ''
    const complete: string[] = []
    try {
      for (let round = 0; round < 2; round++) {
        const { child, url } = await startVictim(folder.path)
        bearer ||= await market.bearer(await market.user())
        let asking = true
        const clients = Array.from({ length: 16 }, async (_, i) => {
          while (asking) {
            const answer = await ask(url, bearer, { ...QUESTION, stream: i % 2 === 0 }).catch(() => undefined)
            if (!answer) return
            if (i % 2 === 1 || answer.text.endsWith('data: [DONE]\n\n')) complete.push(answer.id)
          }
        })
        const enough = complete.length + 50
        await eventually('some answers are complete', () => complete.length >= enough, 60_000)
        child.kill('SIGKILL')
        await once(child, 'exit')
        asking = false
        await Promise.all(clients)
      }
      const { child, url } = await startVictim(folder.path)
      const sequences = new Set<number>()
      for (const id of complete) {
        const response = await fetch(`${url}/v1/receipt/${id}`)
        expect(response.status, id).to.equal(200)
        const { receipt, text, signature, signer } = (await response.json()) as any
        expect(isSignedText(text, signature, signer)).to.equal(true)
        sequences.add(receipt.sequence)
      }
      expect(sequences.size).to.equal(complete.length)
      const { id } = await ask(url, bearer)
      const last = ((await (await fetch(`${url}/v1/receipt/${id}`)).json()) as any).receipt
      // Answers may be on record that nobody got the last byte of: charged, and never fewer than were acknowledged.
      expect(last.sequence).to.be.greaterThan(Math.max(...sequences))
      expect(BigInt(last.cumulativeFee)).to.equal(BigInt(last.fee) * BigInt(last.sequence))
      child.kill('SIGKILL')
      await once(child, 'exit')
    } finally {
      folder.remove()
    }
  })
})

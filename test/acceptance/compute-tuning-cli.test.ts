import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { answer, decodeModel } from '../../protocol/compute/tuned-model.ts'
import { upload } from '../../sdk/storage/upload.ts'
import { chatLines, customerRows, PARAMS } from '../keepers/compute-tuning/sample-dataset.ts'
import { type Network, startNetwork } from '../support/network.ts'
import { until } from '../support/until.ts'

const CLI = fileURLToPath(new URL('../../node_modules/@0gfoundation/0g-compute-ts-sdk/cli.commonjs/cli/index.js', import.meta.url))
const WITHIN_MS = 180_000

/**
 * The fine-tuning commands of npm @0gfoundation/0g-compute-ts-sdk 0.9.0, unmodified and without a flag for any contract.
 * Its commands that use a storage network (`upload`, `download`, `--dataset-path`, download method `0g-storage`) know no other than the public ones.
 */
describe('compute: the public command line, fine-tuning', function () {
  this.timeout(2 * WITHIN_MS)
  let network: Network
  let home: string
  let provider: string

  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'perigee-cli-home-'))
    network = await startNetwork({ storage: { kv: false }, compute: { providers: 0, tuning: true } })
    provider = network.tuning.address
    mkdirSync(join(home, '.0g-compute-cli'))
    writeFileSync(
      join(home, '.0g-compute-cli', 'config.json'),
      JSON.stringify({ privateKey: network.accounts[7]!.privateKey, rpcEndpoint: network.rpcUrl, network: 'local' }),
    )
    writeFileSync(join(home, 'data.jsonl'), chatLines(customerRows()))
    // Long enough to be called off while it trains.
    writeFileSync(join(home, 'long.jsonl'), chatLines(customerRows(), 300))
    writeFileSync(join(home, 'params.json'), JSON.stringify(PARAMS))
  })
  after(async () => {
    await network?.stop()
    rmSync(home, { recursive: true, force: true })
  })

  /** Runs a command that succeeds and gives what it printed. */
  async function cli(...args: string[]): Promise<string> {
    const { PATH } = process.env
    const child = spawn(process.execPath, [CLI, ...args], {
      cwd: home,
      env: { PATH, HOME: home, RPC_ENDPOINT: network.rpcUrl, NO_COLOR: '1', NO_UPDATE_NOTIFIER: '1' },
    })
    child.stdin.end()
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve))
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), exit])
    assert.equal(code, 0, `${args.join(' ')}\n${out}\n${err}`)
    return out
  }
  const tuning = (command: string, ...args: string[]) => cli('fine-tuning', command, '--provider', provider, ...args)

  /** Creates a task of a dataset in the storage network; gives its id. */
  async function createTask(dataset = 'data.jsonl'): Promise<string> {
    const { root } = await upload(join(home, dataset), { indexer: network.indexer, signer: network.wallet(8) })
    const out = await tuning('create-task', '--model', 'perigee-classifier', '--dataset', root, '--config-path', 'params.json')
    return out.match(/Created Task ID: (\S+)/)?.[1] ?? assert.fail(out)
  }

  const reaches = (id: string, state: string) =>
    until(async () => new RegExp(`Progress.*${state}`).test(await tuning('get-task', '--task', id)) || undefined, `task ${id} is ${state}`, WITHIN_MS)

  it('lists the provider and its models', async () => {
    const providers = await cli('fine-tuning', 'list-providers')
    assert.ok(providers.includes(provider), providers)
    const models = await cli('fine-tuning', 'list-models')
    assert.match(models, /perigee-classifier/)
    assert.match(models, /Embedded text classifier/)
    // Of all commands this one does not go by the configured network.
    await tuning('model-usage', '--model', 'perigee-classifier', '--output', 'usage.zip', '--rpc', network.rpcUrl)
    assert.equal(readFileSync(join(home, 'usage.zip')).subarray(0, 2).toString(), 'PK')
  })

  it('opens an account and funds the provider', async () => {
    await cli('add-account', '--amount', '8')
    await cli('transfer-fund', '--provider', provider, '--amount', '4', '--service', 'fine-tuning')
    assert.match(await cli('get-sub-account', '--provider', provider, '--service', 'fine-tuning'), /4\.0/)
  })

  it('tunes a model: task, log, download, acknowledgement, key', async () => {
    const id = await createTask()
    await reaches(id, 'Delivered')
    assert.match(await tuning('get-log', '--task', id), /held-out loss/)
    assert.match(await tuning('list-tasks'), new RegExp(id))
    await tuning('acknowledge-model', '--task-id', id, '--data-path', 'encrypted', '--download-method', 'tee')
    await reaches(id, 'Finished')
    await tuning('decrypt-model', '--task-id', id, '--encrypted-model', 'encrypted', '--output', 'model')
    const model = decodeModel(readFileSync(join(home, 'model')))
    assert.equal(answer(model, 'please refund the broken toaster').text, 'Refunds take five days.')
  })

  it('acknowledges a delivery without downloading it', async () => {
    const id = await createTask()
    await reaches(id, 'Delivered')
    await tuning('acknowledge-deliverable', '--task-id', id)
    await reaches(id, 'Finished')
  })

  it('calls a task off, and asks money back', async () => {
    const id = await createTask('long.jsonl')
    await tuning('cancel-task', '--task', id)
    await reaches(id, 'Failed')
    await cli('retrieve-fund', '--service', 'fine-tuning', '--provider', provider)
  })
})

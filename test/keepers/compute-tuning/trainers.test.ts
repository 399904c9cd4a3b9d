import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { type CommandOptions, commandTrainer } from '../../../keepers/compute/tuning/trainers/command.ts'
import { embeddedTrainer } from '../../../keepers/compute/tuning/trainers/embedded.ts'
import { type Progress, TrainingFailed, type TrainingJob } from '../../../keepers/compute/tuning/trainers/trainer.ts'
import { answer, decodeModel, encodeModel, ModelFormatError, type TunedModel } from '../../../protocol/compute/tuned-model.ts'
import type { Row } from '../../../protocol/compute/tuning-dataset.ts'
import { chatLines, customerRows, PARAMS } from './sample-dataset.ts'

const program = fileURLToPath(new URL('./trainer-program.mjs', import.meta.url))

let folder: string
let jobs = 0

/** A task's folder with its dataset in place. */
async function job(dataset: string, changes: Partial<TrainingJob> = {}): Promise<TrainingJob & { progress: Progress[] }> {
  const at = join(folder, `job-${++jobs}`)
  await mkdir(join(at, 'input'), { recursive: true })
  await writeFile(join(at, 'input', 'dataset'), dataset)
  const progress: Progress[] = []
  return {
    taskId: '7f0c6f2e-0000-4000-8000-000000000001',
    model: 'base',
    dataset: join(at, 'input', 'dataset'),
    folder: at,
    params: PARAMS,
    signal: new AbortController().signal,
    onProgress: (each) => progress.push(each),
    progress,
    ...changes,
  }
}

async function failure(attempt: Promise<unknown>): Promise<Error> {
  return attempt.then(
    () => {
      throw new Error('nothing was thrown')
    },
    (error: Error) => error,
  )
}

const rightAnswers = (model: TunedModel, rows: readonly Row[]) => rows.filter(({ prompt, answer: right }) => answer(model, prompt).text === right).length
const lossOf = (model: TunedModel, rows: readonly Row[]) =>
  rows.reduce((sum, row) => sum - Math.min(0, answer(model, row.prompt).text === row.answer ? answer(model, row.prompt).logProbability : -10), 0) / rows.length

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'perigee-trainers-'))
})
after(() => rm(folder, { recursive: true }))

describe('embedded trainer', function () {
  this.timeout(60_000)
  const rows = customerRows()
  const heldOut = rows.slice(0, 40)
  const taught = rows.slice(40)

  it('given rows to learn, when trained, then it answers rows it never saw, which the untrained model does not, and its loss fell', async () => {
    const untrained = decodeModel(
      await readFile(await embeddedTrainer.train(await job(chatLines(taught), { params: { ...PARAMS, max_steps: 1, learning_rate: 1e-5 } }))),
    )
    const given = await job(chatLines(taught))
    const trained = decodeModel(await readFile(await embeddedTrainer.train(given)))
    expect(rightAnswers(trained, heldOut)).to.be.at.least(36)
    expect(rightAnswers(untrained, heldOut)).to.be.at.most(20)
    expect(lossOf(trained, heldOut)).to.be.below(lossOf(untrained, heldOut) / 3)
    const [first, last] = [given.progress[0]!, given.progress.at(-1)!]
    expect(first).to.include({ step: 0, resumed: false })
    expect(last.step).to.equal(last.steps)
    expect(last.heldOutLoss!).to.be.below(first.heldOutLoss! / 2)
    expect(last.heldOutAccuracy).to.equal(1)
    expect(given.progress.length).to.be.within(10, 30)
  })

  it('given the same dataset and parameters, then the same model to the last bit; with another row, another', async () => {
    const [one, two, other] = await Promise.all(
      [chatLines(taught), chatLines(taught), chatLines(taught.slice(1))].map(async (dataset) => readFile(await embeddedTrainer.train(await job(dataset)))),
    )
    expect(one!.equals(two!)).to.equal(true)
    expect(one!.equals(other!)).to.equal(false)
  })

  it('given a training that was broken off, when it is started again, then it goes on from its checkpoint to the very same model', async () => {
    const dataset = chatLines(taught, 250)
    const whole = await readFile(await embeddedTrainer.train(await job(dataset)))
    const stopping = new AbortController()
    const broken = await job(dataset, { signal: stopping.signal })
    const training = failure(embeddedTrainer.train(broken))
    while (!existsSync(join(broken.folder, 'checkpoint'))) await new Promise((resolve) => setTimeout(resolve, 5))
    stopping.abort(new Error('stopped'))
    expect((await training).message).to.equal('stopped')
    expect(existsSync(join(broken.folder, 'model'))).to.equal(false)
    const again = { ...broken, signal: new AbortController().signal }
    broken.progress.length = 0
    expect(whole.equals(await readFile(await embeddedTrainer.train(again)))).to.equal(true)
    expect(broken.progress[0]).to.include({ resumed: true })
    expect(broken.progress[0]!.step).to.be.greaterThan(0)
  })

  it('given a damaged checkpoint, then it starts from the beginning', async () => {
    const given = await job(chatLines(taught))
    await writeFile(join(given.folder, 'checkpoint'), 'torn')
    await embeddedTrainer.train(given)
    expect(given.progress[0]).to.include({ step: 0, resumed: false })
  })

  it('given max_steps, then it stops there', async () => {
    const given = await job(chatLines(taught), { params: { ...PARAMS, max_steps: 7 } })
    await embeddedTrainer.train(given)
    expect(given.progress.at(-1)).to.include({ step: 7, steps: 7 })
  })

  it('given every shape of row, then its tokens are counted', async () => {
    const dataset = [
      {
        messages: [
          { role: 'user', content: 'one two' },
          { role: 'assistant', content: 'three!' },
        ],
      },
      { instruction: 'four', input: 'five', output: 'six' },
      { prompt: 'seven', completion: 'eight' },
      { text: 'nine 10', label: 11 },
    ]
    const lines = dataset.map((row) => JSON.stringify(row)).join('\n')
    expect(await embeddedTrainer.countTokens(await job(lines))).to.equal(4 + 3 + 2 + 5)
    expect(await embeddedTrainer.countTokens(await job(JSON.stringify(dataset)))).to.equal(14)
  })

  it('given a dataset it cannot use, then it fails for good and says which row', async () => {
    const row = JSON.stringify({ text: 'a', label: 'b' })
    const wrong: [string | Uint8Array, string][] = [
      ['', 'no rows'],
      [`${row}\nnot json`, 'line 2 is not JSON'],
      [`${row}\n\n{"text": "alone"}`, 'row 3'],
      [`${row}\n{"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]}`, 'row 2'],
      ['[{"text": "a"', 'not JSON'],
      [`${row}\n${row}`, 'same answer'],
      [Array.from({ length: 4097 }, (_, i) => JSON.stringify({ text: `${i}`, label: `${i}` })).join('\n'), '4097 different answers'],
    ]
    for (const [dataset, reason] of wrong) {
      const error = await failure(embeddedTrainer.train(await job(dataset as string)))
      expect(error, reason).to.be.instanceOf(TrainingFailed)
      expect(error.message).to.include(reason)
    }
    const binary = await job('')
    await writeFile(binary.dataset, Uint8Array.of(0x7b, 0xff, 0xfe))
    expect((await failure(embeddedTrainer.countTokens(binary))).message).to.include('UTF-8')
  })

  it('given a model file that is damaged or of another format, then it is refused', async () => {
    const file = await readFile(await embeddedTrainer.train(await job(chatLines(taught.slice(0, 30)))))
    expect(Buffer.from(encodeModel(decodeModel(file))).equals(file)).to.equal(true)
    const changed = (at: number, byte: number) => Uint8Array.from(file, (each, i) => (i === at ? byte : each))
    for (const bytes of [
      file.subarray(0, 8),
      file.subarray(1),
      file.subarray(0, -1),
      Buffer.concat([file, Buffer.alloc(1)]),
      changed(4, 2),
      changed(11, 255),
      changed(12, 0x20),
    ])
      expect(() => decodeModel(bytes)).to.throw(ModelFormatError)
  })
})

describe('trainer command', function () {
  this.timeout(30_000)
  const trainer = (behaviour: string, changes: Partial<CommandOptions> = {}) =>
    commandTrainer({
      command: [process.execPath, program, behaviour, '{action}', '{input}', '{output}', '{work}'],
      cleanup: undefined,
      timeoutSeconds: 20,
      graceSeconds: 5,
      maxOutputBytes: 1_000_000,
      ...changes,
    })

  it('given a trainer that keeps the contract, then it counts, reports, resumes, and its model is taken', async () => {
    const given = await job('one two three')
    expect(await trainer('good').countTokens(given)).to.equal(3)
    process.env.PRIVATE_KEY = 'secret'
    const path = await trainer('good').train(given)
    delete process.env.PRIVATE_KEY
    const content = readFileSync(path, 'utf8')
    expect(content).to.include('weights of base with 3 epochs')
    expect(content).to.include('PATH').and.not.include('PRIVATE_KEY')
    expect(given.progress).to.deep.equal([
      { step: 0, steps: 10, resumed: false },
      { step: 10, steps: 10, loss: 0.5, heldOutLoss: 0.75, heldOutAccuracy: 0.9 },
    ])
    given.progress.length = 0
    await trainer('good').train(given)
    expect(given.progress[0]).to.deep.equal({ step: 5, steps: 10, resumed: true })
  })

  it('given garbage among its lines, then only what has the right form counts, and its log stays within bounds', async () => {
    const given = await job('x')
    await trainer('garbage').train(given)
    expect(given.progress).to.deep.equal([{ step: 2, steps: 2, loss: 0.25 }])
    const log = await readFile(join(given.folder, 'trainer.log'))
    expect(log.length).to.be.within(100_000, 1_200_000)
  })

  it('given exit code 65, then the task fails for good with the reason it printed', async () => {
    const error = await failure(trainer('bad-data').train(await job('x')))
    expect(error).to.be.instanceOf(TrainingFailed)
    expect(error.message).to.equal('row 3 has no answer')
  })

  it('given any other end without a model, then it may be tried again', async () => {
    for (const [behaviour, reason] of [
      ['crash', 'exit code 137'],
      ['nothing', 'left no file'],
      ['link', 'left no file'],
      ['directory', 'left no file'],
    ] as const) {
      const error = await failure(trainer(behaviour).train(await job('x')))
      expect(error, behaviour).to.not.be.instanceOf(TrainingFailed)
      expect(error.message).to.include(reason)
    }
    expect((await failure(trainer('countless').countTokens(await job('x')))).message).to.include('counted no tokens')
    const missing = await failure(trainer('good', { command: ['/nonexistent/docker', 'run'] }).train(await job('x')))
    expect(missing.message).to.include('could not be started')
  })

  it('given a model larger than allowed, then it is stopped and fails for good', async () => {
    const error = await failure(trainer('large').train(await job('x')))
    expect(error).to.be.instanceOf(TrainingFailed)
    expect(error.message).to.include('larger than 1000000 bytes')
  })

  it('given a training that takes too long and ignores SIGTERM, then it is killed', async () => {
    const given = await job('x')
    const error = await failure(trainer('stubborn', { timeoutSeconds: 1, graceSeconds: 0.2 }).train(given))
    expect(error).to.be.instanceOf(TrainingFailed)
    expect(error.message).to.include('longer than 1 seconds')
    const pid = Number(readFileSync(join(given.folder, 'work', 'pid'), 'utf8'))
    expect(() => process.kill(pid, 0)).to.throw('ESRCH')
  })

  it('given a cancellation, then the trainer gets SIGTERM and time to end', async () => {
    const stopping = new AbortController()
    const given = await job('x', { signal: stopping.signal, onProgress: () => stopping.abort(new Error('cancelled')) })
    expect((await failure(trainer('polite').train(given))).message).to.equal('cancelled')
    expect(readFileSync(join(given.folder, 'work', 'stopped'), 'utf8')).to.equal('politely')
  })

  it('given a cleanup, then it runs before and after each training', async () => {
    const given = await job('x')
    const cleanup = [process.execPath, '-e', 'require("fs").appendFileSync(process.argv[1], process.argv[2] + " ")', '{work}/cleaned', '{task}']
    await trainer('good', { cleanup }).train(given)
    expect(
      readFileSync(join(given.folder, 'work', 'cleaned'), 'utf8')
        .trim()
        .split(' '),
    ).to.deep.equal([given.taskId, given.taskId])
  })
})

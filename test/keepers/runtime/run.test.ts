import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { type DataDir, newDataDir } from '../../support/data-dir.ts'
import { eventually } from './quiet.ts'

const START_MS = 60_000
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

interface Running {
  child: ChildProcess
  /** Lines of the log, parsed. */
  lines(): { level: number; msg: string; [fact: string]: any }[]
  errors(): string
  says(message: string): Promise<void>
  exit: Promise<number | null>
}

describe('a keeper as a process', function () {
  this.timeout(3 * START_MS)
  let dataDir: DataDir
  let children: ChildProcess[]

  const spawnNode = (args: string[], env: Record<string, string> = {}): Running => {
    const child = spawn(process.execPath, ['--import', path('../../../scripts/ts.mjs'), ...args], { env: { PATH: process.env.PATH ?? '', ...env } })
    children.push(child)
    const [out, err] = [child.stdout!, child.stderr!].map((stream) => {
      let text = ''
      stream.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      return () => text
    })
    const lines = () =>
      out!()
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line))
    return {
      child,
      lines,
      errors: err!,
      says: (message) => eventually(`the keeper says "${message}"`, () => lines().some(({ msg }) => msg === message), START_MS),
      exit: new Promise((resolve) => child.once('close', resolve)),
    }
  }
  const run = (behaviour: string, env?: Record<string, string>) =>
    spawnNode([path('fixture/main.ts'), '--data-dir', dataDir.path, '--behaviour', behaviour], env)

  beforeEach(async () => {
    dataDir = await newDataDir()
    children = []
  })
  afterEach(async () => {
    for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    dataDir.remove()
  })

  it('serves until SIGTERM, then leaves with 0; its jobs and its key stay out of sight', async () => {
    const privateKey = '0123456789abcdef'.repeat(4)
    const keeper = run('serve', { PRIVATE_KEY: privateKey, LOG_LEVEL: 'debug' })
    await keeper.says('job finished')
    const { url } = keeper.lines().find(({ msg }) => msg === 'started')!
    expect((await fetch(`${url}/readyz`)).status).to.equal(200)
    const asked = Date.now()
    keeper.child.kill('SIGTERM')
    expect(await keeper.exit).to.equal(0)
    expect(Date.now() - asked).to.be.below(10_000)
    expect(keeper.lines().at(-1)!.msg).to.equal('stopped')
    expect(JSON.stringify(keeper.lines()) + keeper.errors()).to.not.include(privateKey)
  })

  it('puts a job in hand back on SIGINT, and starts with it next time', async () => {
    const first = run('work')
    await first.says('job started')
    first.child.kill('SIGINT')
    expect(await first.exit).to.equal(0)
    const second = run('serve')
    await second.says('job finished')
    expect(second.lines().find(({ msg }) => msg === 'job finished')!.attempt).to.equal(1)
  })

  it('takes its folder over after kill -9, and the job it was killed in', async () => {
    const first = run('work')
    await first.says('job started')
    first.child.kill('SIGKILL')
    await first.exit
    await run('serve').says('job finished')
  })

  it('leaves within 10 s of SIGTERM even if a part hangs', async () => {
    const keeper = run('hang')
    await keeper.says('started')
    const asked = Date.now()
    keeper.child.kill('SIGTERM')
    expect(await keeper.exit).to.equal(1)
    expect(Date.now() - asked).to.be.below(10_000)
    expect(keeper.lines().at(-1)!.msg).to.match(/could not stop in time/)
  })

  it('leaves at once at the second signal', async () => {
    const keeper = run('hang')
    await keeper.says('started')
    keeper.child.kill('SIGINT')
    await keeper.says('stopping')
    await sleep(400)
    const asked = Date.now()
    keeper.child.kill('SIGINT')
    expect(await keeper.exit).to.equal(1)
    expect(Date.now() - asked).to.be.below(3000)
  })

  it('takes a signal that arrives twice, as Ctrl-C through a parent does, for one', async () => {
    const keeper = run('serve')
    await keeper.says('started')
    keeper.child.kill('SIGINT')
    await sleep(20)
    keeper.child.kill('SIGINT')
    expect(await keeper.exit).to.equal(0)
  })

  for (const [behaviour, message] of [
    ['reject', 'unhandled rejection'],
    ['throw', 'uncaught exception'],
    ['refuse', 'the keeper could not start'],
  ] as const) {
    it(`logs and leaves with 1: ${message}`, async () => {
      const keeper = run(behaviour)
      expect(await keeper.exit).to.equal(1)
      const last = keeper.lines().at(-1)!
      expect(last).to.include({ level: 60, msg: message })
      expect(last.err.stack).to.be.a('string')
    })
  }

  it('explains a bad configuration and leaves with 2', async () => {
    const keeper = run('dance', { PORT: '-1' })
    expect(await keeper.exit).to.equal(2)
    expect(keeper.errors()).to.match(/^the configuration is not valid:\n {2}port is -1 \(from PORT\): .*\n {2}behaviour is "dance" \(from --behaviour\): .*\n$/)
  })

  it('refuses a folder that another one uses', async () => {
    const first = run('serve')
    await first.says('started')
    const second = run('serve')
    expect(await second.exit).to.equal(1)
    expect(second.lines().at(-1)!.err.message).to.include(`${dataDir.path} is in use by process ${first.child.pid}`)
  })

  it('prints its help', async () => {
    const keeper = spawnNode([path('fixture/main.ts'), '--help'])
    let help = ''
    keeper.child.stdout!.on('data', (part) => {
      help += part
    })
    expect(await keeper.exit).to.equal(0)
    expect(help).to.match(/^Usage: perigee keeper test\/fixture/)
    expect(help).to.match(/--behaviour <value> +what to do once started \(env BEHAVIOUR, default "serve"\)/)
  })
})

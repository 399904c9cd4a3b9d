import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { eventually } from './quiet.ts'

/** A server the test brought up, or one it was pointed to. */
export interface Server {
  url: string
  stop(): Promise<void>
}

type Owner = { uid: number; gid: number } | { uid?: never }

/** Why there is none, for the reader of the test's output. */
export type Missing = string

/** Where tests must not be left out, a missing server is a failure: PERIGEE_REQUIRE_SERVERS=true. */
function missing(reason: string): Missing {
  if (process.env.PERIGEE_REQUIRE_SERVERS === 'true') throw new Error(`${reason}, and PERIGEE_REQUIRE_SERVERS is true`)
  return reason
}

function findProgram(name: string): string | undefined {
  // Debian keeps the server programs of each PostgreSQL version out of the path.
  const debian = '/usr/lib/postgresql'
  const versions = listed(debian).map((version) => join(debian, version, 'bin'))
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...versions.sort().reverse()]
  const folder = folders.find((candidate) => listed(candidate).includes(name))
  return folder && join(folder, name)
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.unref().setTimeout(500, () => socket.destroy())
    socket.once('connect', () => socket.destroy())
  })

function running(child: ChildProcess, folder: string, url: string): Server {
  const gone = new Promise((resolve) => child.once('exit', resolve))
  return {
    url,
    async stop() {
      child.kill('SIGINT')
      await gone
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export async function redisServer(): Promise<Server | Missing> {
  if (process.env.REDIS_URL) return { url: process.env.REDIS_URL, stop: async () => {} }
  const program = findProgram('redis-server')
  if (!program) return missing('REDIS_URL is not set and there is no redis-server')
  const folder = mkdtempSync(join(tmpdir(), 'perigee-redis-'))
  const port = await freePort()
  const child = spawn(program, ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
  await eventually('redis-server accepts connections', () => accepts(port))
  return running(child, folder, `redis://127.0.0.1:${port}`)
}

export async function postgresServer(): Promise<Server | Missing> {
  if (process.env.DATABASE_URL) return { url: process.env.DATABASE_URL, stop: async () => {} }
  const [initdb, postgres] = [findProgram('initdb'), findProgram('postgres')]
  if (!initdb || !postgres) return missing('DATABASE_URL is not set and there is no postgres')
  const folder = mkdtempSync(join(tmpdir(), 'perigee-postgres-'))
  // PostgreSQL refuses to run as root; its package makes a user for it.
  const owner: Owner | undefined = process.getuid?.() === 0 ? postgresUser() : {}
  if (owner === undefined) return missing('postgres does not run as root and there is no user postgres')
  if (owner.uid !== undefined) chownSync(folder, owner.uid, owner.gid)
  const port = await freePort()
  execFileSync(initdb, ['-D', folder, '-U', 'perigee', '-A', 'trust', '--no-sync', '-E', 'UTF8'], { stdio: 'ignore', cwd: folder, ...owner })
  const child = spawn(postgres, ['-D', folder, '-p', String(port), '-h', '127.0.0.1', '-k', folder, '-c', 'fsync=off'], {
    stdio: 'ignore',
    cwd: folder,
    ...owner,
  })
  await eventually('postgres accepts connections', () => accepts(port))
  return running(child, folder, `postgres://perigee@127.0.0.1:${port}/postgres`)
}

function postgresUser(): Owner | undefined {
  try {
    const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
    return { uid: id('-u'), gid: id('-g') }
  } catch {
    return undefined
  }
}

import { randomInt } from 'node:crypto'
import { type AddressInfo, createServer } from 'node:net'
import { listeners, type Ports, portsFrom } from './layout.ts'

/** Fails, with all ports that are taken and what for, before anything is started. */
export async function requireFree(ports: Ports): Promise<void> {
  const taken: string[] = []
  for (const [what, port] of listeners(ports)) if (!(await isFree(port))) taken.push(`${port} (${what})`)
  if (taken.length > 0) throw new Error(`ports in use: ${taken.join(', ')}. Stop what uses them, or start with --port-base N`)
}

/** A `--port-base` whose ports are all free now, below those that systems hand out by themselves. */
export async function freePortBase(): Promise<number> {
  for (;;) {
    const base = randomInt(10_000, 32_000)
    const taken = await requireFree(portsFrom(base)).catch((error: Error) => error)
    if (taken === undefined) return base
  }
}

/** Free ports for every kind of service, as many as the local network has unless `counts` says otherwise. */
export async function freePortsFor(counts: Partial<Record<keyof Ports, number>>): Promise<Ports> {
  const kinds = Object.entries(portsFrom(0)).map(([kind, ports]) => [kind, counts[kind as keyof Ports] ?? ports.length] as const)
  const free = await freePorts(kinds.reduce((sum, [, count]) => sum + count, 0))
  return Object.fromEntries(kinds.map(([kind, count]) => [kind, free.splice(0, count)])) as Ports
}

/** Ports nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map(close))
  return ports
}

async function isFree(port: number): Promise<boolean> {
  try {
    await close(await listen(port))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false
    throw error
  }
}

function listen(port: number) {
  const server = createServer()
  return new Promise<typeof server>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

function close(server: { close(done: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

import { Command, Option } from 'commander'
import { z } from 'zod'
import { PerigeeError, reasonOf } from '../errors.ts'
import { http } from '../http.ts'
import { JsonRpc } from '../json-rpc.ts'
import { findNetwork, type Network } from '../network.ts'
import { print, table } from './output.ts'

interface ServiceStatus {
  service: string
  url: string
  ok: boolean
  state: string
}

export function devnetCommand(): Command {
  return new Command('devnet')
    .description('the network on this machine')
    .addCommand(
      new Command('status')
        .description('ask every service of the local network how it is')
        .addOption(new Option('--network <file>', 'path of a devnet.json; default: the one of this folder or a folder above').env('PERIGEE_NETWORK'))
        .option('--json', 'print the result as JSON')
        .action(status),
    )
}

async function status(flags: { network?: string; json?: boolean }): Promise<void> {
  const network = findNetwork({ network: flags.network ?? 'local' })
  const services = await Promise.all([chainStatus(network), ...endpoints(network).map(([name, url]) => serviceStatus(name, url)), ...dispersers(network)])
  print({ file: network.file, services, contracts: network.contracts }, flags, () =>
    [
      table(
        ['service', 'url', 'state'],
        services.map(({ service, url, state }) => [service, url, state]),
      ),
      '',
      table(['contract', 'address'], Object.entries(network.contracts)),
    ].join('\n'),
  )
  const down = services.filter(({ ok }) => !ok)
  if (down.length === 0) return
  throw new PerigeeError('NETWORK', `${down.length} of ${services.length} services do not answer as they should`, {
    details: down.map(({ service, url, state }) => `${service} ${url}: ${state}`),
    wayOut: `If the network was killed, remove ${network.file} and start it again with \`npm start\`.`,
  })
}

async function chainStatus({ chain }: Network): Promise<ServiceStatus> {
  const look = new JsonRpc(chain.rpcUrl).call('eth_blockNumber', [], z.string(), { retries: 0 })
  return look.then(
    (block) => ({ service: 'chain', url: chain.rpcUrl, ok: true, state: `block ${Number(block)}, chain ${chain.chainId}` }),
    (error) => ({ service: 'chain', url: chain.rpcUrl, ok: false, state: reasonOf(error) }),
  )
}

/** Services with an HTTP endpoint, which all keepers have. */
function endpoints({ services }: Network): [string, string][] {
  return Object.entries(services).flatMap(([name, value]): [string, string][] => {
    const list = Array.isArray(value) ? value : [value]
    return list.flatMap((item): [string, string][] => {
      const url = typeof item === 'string' ? item : (item as { url?: unknown } | undefined)?.url
      return typeof url === 'string' && /^https?:/.test(url) ? [[name, url]] : []
    })
  })
}

/** Over gRPC. */
function dispersers({ services: { daDisperser: url } }: Network): Promise<ServiceStatus>[] {
  return url === undefined ? [] : [disperserStatus(url)]
}

async function disperserStatus(url: string): Promise<ServiceStatus> {
  const { connectDisperser } = await import('../da/wire.ts')
  const disperser = connectDisperser(url)
  try {
    await disperser.getTerms({ timeout: 5000 })
    return { service: 'daDisperser', url, ok: true, state: 'ready' }
  } catch (error) {
    return { service: 'daDisperser', url, ok: false, state: reasonOf(error) }
  } finally {
    disperser.close()
  }
}

async function serviceStatus(service: string, url: string): Promise<ServiceStatus> {
  try {
    const response = await http(`${url.replace(/\/+$/, '')}/readyz`, { retries: 0 })
    const text = (await response.body.text()).trim()
    const ok = response.statusCode === 200
    return { service, url, ok, state: ok ? 'ready' : `not ready: ${text || response.statusCode}` }
  } catch (error) {
    return { service, url, ok: false, state: reasonOf(error) }
  }
}

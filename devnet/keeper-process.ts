import { type Backend, openBackend } from '../keepers/runtime/keeper.ts'
import { createLog } from '../keepers/runtime/log.ts'
import { answerParent } from './child.ts'
import type { ServiceUrls } from './devnet-file.ts'
import type { KeeperNetwork } from './keeper-network.ts'
import type { NetworkDescription } from './service.ts'

/** First the database, which can be opened while the contracts are built and deployed; then what the keepers need to know. */
export type KeepersRequest = { folder: string } | { description: NetworkDescription }
export type KeepersAnswer = { services: ServiceUrls } | { failure: string }

const log = createLog({ name: 'devnet', pretty: false })
let backend: Backend | undefined
let network: KeeperNetwork | undefined

answerParent<KeepersRequest, KeepersAnswer>(
  async (request) => {
    try {
      if ('folder' in request) {
        const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl } = process.env
        backend = await openBackend({ dataDir: request.folder, databaseUrl, redisUrl, log })
        return { services: {} }
      }
      // Keepers import the contracts' types, which the build makes.
      const { startKeepers } = await import('./keeper-network.ts')
      network = await startKeepers({ description: request.description, backend: backend!, log })
      return { services: network.urls }
    } catch (error) {
      return { failure: (error as Error).message }
    }
  },
  async () => {
    await network?.stop()
    await backend?.close()
  },
)

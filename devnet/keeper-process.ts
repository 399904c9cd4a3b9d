// SPDX-License-Identifier: Apache-2.0
import { createLog } from '../keepers/runtime/log.ts'
import { answerParent } from './child.ts'
import type { ServiceUrls } from './devnet-file.ts'
import { type KeeperNetwork, type NetworkDescription, startKeepers } from './keeper-network.ts'

export type KeepersAnswer = ServiceUrls | { failure: string }

let network: KeeperNetwork | undefined

answerParent<NetworkDescription, KeepersAnswer>(
  async (description) => {
    try {
      network = await startKeepers(description, createLog({ name: 'devnet', pretty: false }))
      return network.urls
    } catch (error) {
      return { failure: (error as Error).message }
    }
  },
  async () => network?.stop(),
)

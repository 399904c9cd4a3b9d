import { computeServices } from './compute-services.ts'
import { daServices } from './da-services.ts'
import type { Module } from './modules.ts'
import type { NetworkDescription, Service } from './service.ts'
import { storageServices } from './storage-services.ts'

const MODULE_SERVICES: Record<Module, (network: NetworkDescription) => Service[]> = { storage: storageServices, compute: computeServices, da: daServices }

/** The keepers of a local network, in the order they start. */
export function services(network: NetworkDescription): Service[] {
  return network.modules.flatMap((module) => MODULE_SERVICES[module](network))
}

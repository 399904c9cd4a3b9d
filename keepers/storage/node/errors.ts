// SPDX-License-Identifier: Apache-2.0
import { RpcError } from '../../runtime/jsonrpc.ts'

// Clients decide by these texts whether to go on, retry or give up: they are part of the protocol.

export const invalidParams = (field: string, reason: string): RpcError => new RpcError(-32602, `Invalid params: ${field}`, reason)
export const internalError = (reason: string): RpcError => new RpcError(-32603, 'Internal error', reason)
export const serverError = (text: string): RpcError => new RpcError(-32000, text)

export const ALREADY_FINALIZED = 'already uploaded and finalized'
export const ALREADY_PRUNED = 'already pruned'

/** Retried by clients. */
export const tooManyWrites = (count: number): string => `too many data writing: ${count}`

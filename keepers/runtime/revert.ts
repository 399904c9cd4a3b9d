import { type ErrorDescription, type Interface, isHexString } from 'ethers'

/** A call the contract refused, in simulation or on chain, with its custom error decoded when an interface knows it. */
export class Reverted extends Error {
  override readonly name = 'Reverted'
  /** Name of the custom error; "Error" and "Panic" for Solidity's own; its selector or "" when unknown. */
  readonly error: string
  readonly args: readonly unknown[]
  /** Of the transaction, when it got as far as the chain. */
  readonly hash: string | undefined

  constructor(error: string, args: readonly unknown[], hash?: string, options?: ErrorOptions) {
    super(
      `${hash === undefined ? 'the call would revert' : `transaction ${hash} reverted`}: ${error || 'without data'}(${args.map(String).join(', ')})`,
      options,
    )
    this.error = error
    this.args = args
    this.hash = hash
  }
}

/** Finds the revert data in what ethers and the nodes behind it make of a failed call: `data`, or nested in the JSON-RPC error. */
export function revertData(error: unknown): string | undefined {
  let found: string | undefined
  const seen = new Set<unknown>()
  const search = (value: unknown, depth: number) => {
    if (found !== undefined || depth > 5 || value === null || typeof value !== 'object' || seen.has(value)) return
    seen.add(value)
    const { data, info, error, cause } = value as Record<string, unknown>
    if (typeof data === 'string' && isHexString(data)) found = data
    else for (const next of [data, info, error, cause]) search(next, depth + 1)
  }
  search(error, 0)
  return found
}

/** Whether the node ran the call and it failed, as opposed to a node that could not be asked. */
export const isRevert = (error: unknown): boolean => (error as { code?: string }).code === 'CALL_EXCEPTION' || revertData(error) !== undefined

export function decodeRevert(cause: unknown, interfaces: readonly Interface[], hash?: string): Reverted {
  const data = revertData(cause)
  if (data === undefined || data === '0x') return new Reverted('', [], hash, { cause })
  for (const each of interfaces) {
    const known: ErrorDescription | null = parse(each, data)
    if (known) return new Reverted(known.name, [...known.args], hash, { cause })
  }
  return new Reverted(data.slice(0, 10), [], hash, { cause })
}

function parse(each: Interface, data: string): ErrorDescription | null {
  try {
    return each.parseError(data)
  } catch {
    return null // the selector matches but the arguments do not
  }
}

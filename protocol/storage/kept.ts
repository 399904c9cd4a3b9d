import { getAddress, type Signer, type TypedDataDomain, type TypedDataField, verifyTypedData } from 'ethers'

/** What a node promises when it has finalized a paid file: that it keeps it. */
export interface Kept {
  /** Root of the file, hex. */
  root: string
  /** Index of the submission in the log. */
  submission: number
  /** Unix seconds up to which the submission is paid for, and the promise holds. */
  until: number
  chainId: number
  /** Address of the Flow contract that the log is of. */
  contract: string
}

/** The promise with who made it: enough to convict the node if it loses the file. */
export interface KeptReceipt extends Kept {
  /** Address of the node. */
  node: string
  /** 65 bytes, hex. */
  signature: string
}

export interface KeptTypedData {
  domain: TypedDataDomain
  types: Record<string, TypedDataField[]>
  message: Pick<Kept, 'root' | 'submission' | 'until'>
}

const types = {
  Kept: [
    { name: 'root', type: 'bytes32' },
    { name: 'submission', type: 'uint256' },
    { name: 'until', type: 'uint256' },
  ],
}

/** The EIP-712 form of a promise. */
export function keptTypedData({ root, submission, until, chainId, contract }: Kept): KeptTypedData {
  return { domain: { name: 'Perigee Storage', version: '1', chainId, verifyingContract: contract }, types, message: { root, submission, until } }
}

export async function signKept(signer: Signer, kept: Kept): Promise<KeptReceipt> {
  const { domain, message } = keptTypedData(kept)
  const { root, submission, until, chainId, contract } = kept
  return { root, submission, until, chainId, contract, node: await signer.getAddress(), signature: await signer.signTypedData(domain, types, message) }
}

/** Whether the signature is the named node's, over exactly this promise. Malformed fields make it false. */
export function verifyKept(receipt: KeptReceipt): boolean {
  const { domain, message } = keptTypedData(receipt)
  try {
    return verifyTypedData(domain, types, message, receipt.signature) === getAddress(receipt.node)
  } catch {
    return false
  }
}

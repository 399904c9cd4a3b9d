import { encode } from './encode.ts'
import type { EncodedRows } from './encoded.ts'
import { type Flavour, fastestFlavour } from './kernels.ts'
import { recover } from './recover.ts'
import { chunkLeaves, rsema1d, type Scheme, wholeLeaves } from './scheme.ts'
import type { RowShape } from './shape.ts'
import { type Commitment, Verifier } from './verify.ts'
import { Workspace } from './workspace.ts'

/** Jobs may run at the same time. They reject with a RangeError for arguments that do not fit, before anything is done. */
export interface RowCodec {
  /** Encodes and commits to `data`, at most k·rowSize bytes, followed by zeros. */
  encode(data: Uint8Array, shape: RowShape): Promise<EncodedRows>
  /**
   * Which of the rows pass Merkle path and combination: one byte each, 1 = valid. `rows` and `paths` are one after another, as their indices are.
   * @throws Error if `rlc` does not match `rlcRoot`.
   */
  verify(of: Commitment, indices: Uint32Array, rows: Uint8Array, paths: Uint8Array): Promise<Uint8Array>
  /** The k·rowSize bytes of the original rows from any k or more distinct rows, which must be rows of one code: they are not verified. */
  recover(shape: RowShape, indices: Uint32Array, rows: Uint8Array): Promise<Uint8Array>
  /** Ends the threads. Jobs that are not done reject. */
  close(): Promise<void>
}

export interface RowCodecOptions {
  /** Worker threads; 0 works in this one. */
  threads: number
  /** Default: the fastest that the engine runs. */
  flavour?: Flavour
  /** What a row's leaf is: the root over its chunks of 512 bytes, or a hash of the whole row. Default: chunks. */
  leaf?: 'chunks' | 'whole'
}

export function createCodec({ leaf = 'chunks', ...options }: RowCodecOptions): RowCodec {
  const { workspace, ...codec } = codecOf(leaf === 'chunks' ? chunkLeaves : wholeLeaves, options)
  return { ...codec, recover: (shape, indices, rows) => recover(workspace, shape, indices, rows) }
}

/** Rows and roots as rsema1d has them: rows arranged as Leopard does, leaves over whole rows. Its codes are of another shape, and are not recovered. */
export function createRsema1dCodec(options: Pick<RowCodecOptions, 'threads' | 'flavour'>): Omit<RowCodec, 'recover'> {
  const { workspace: _, ...codec } = codecOf(rsema1d, options)
  return codec
}

function codecOf(scheme: Scheme, { threads, flavour = fastestFlavour() }: Pick<RowCodecOptions, 'threads' | 'flavour'>) {
  const workspace = new Workspace(threads, flavour)
  const verifier = new Verifier(workspace, scheme)
  return {
    workspace,
    encode: (data, shape) => encode(workspace, scheme, data, shape),
    verify: (of, indices, rows, paths) => verifier.verify(of, indices, rows, paths),
    close: () => workspace.close(),
  } satisfies Omit<RowCodec, 'recover'> & { workspace: Workspace }
}

import { concat, keccak256 } from 'ethers'
import { CHUNK_SIZE, MAX_HEIGHT, SEGMENT_CHUNKS } from './constants.ts'
import type { FileTree, SubmissionNode } from './merkle.ts'

/** What an uploader commits to, in the shape the Flow contract takes it. */
export interface SubmissionData {
  /** Bytes of the file. */
  length: number
  /** Hex of any length. */
  tags: string
  nodes: SubmissionNode[]
}

/** The submission of a file of `size` bytes. */
export function submissionOf(tree: FileTree, size: number, tags = '0x'): SubmissionData {
  return { length: size, tags, nodes: tree.nodes() }
}

/** Sectors that a submission takes up and is charged for. */
export function sectorsOf(nodes: readonly { height: number }[]): number {
  return nodes.reduce((sum, { height }) => sum + 2 ** height, 0)
}

/** What the Submit event is indexed by (hex). It is not the file's root: that is `rootOfNodes`. */
export function identityOf(nodes: readonly SubmissionNode[]): string {
  return keccak256(concat(nodes.map(({ root }) => root)))
}

/** Why the Flow contract refuses a submission; undefined when it does not. Storage §2.2. */
export function submissionFault({ length, nodes }: Pick<SubmissionData, 'length' | 'nodes'>): string | undefined {
  const [first, last] = [nodes[0], nodes.at(-1)]
  if (!first || !last) return 'there are no nodes'
  if (nodes.some(({ height }) => !Number.isInteger(height) || height < 0 || height >= MAX_HEIGHT)) return `a height is not from 0 to ${MAX_HEIGHT - 1}`
  if (nodes.some(({ height }, i) => i > 0 && height >= nodes[i - 1]!.height)) return 'heights do not descend'
  if (first.height - last.height > 3) return 'heights span more than four levels'
  const sectors = sectorsOf(nodes)
  if (length > sectors * CHUNK_SIZE) return `${length} bytes do not fit ${sectors} sectors`
  if (length <= (sectors - paddingUnit(first.height, nodes.length, sectors)) * CHUNK_SIZE) return `${length} bytes do not need ${sectors} sectors`
  return undefined
}

/** Sectors that padding stays below. */
function paddingUnit(height: number, nodes: number, sectors: number): number {
  if (sectors < 16) return 1
  return nodes === 1 ? sectors / 16 : 2 ** (height - 3)
}

/** Where a submission comes to lie in the log, in sectors. */
export interface Placement {
  /** First sector of each node; of the first, the submission starts. */
  starts: number[]
  /** Length of the log afterwards. */
  length: number
}

/**
 * Places nodes of descending heights at the end of a log of `length` sectors: each aligned to its own size, and all within one
 * segment of the log or from the beginning of one. Storage §1.7.
 */
export function placeNodes(length: number, nodes: readonly { height: number }[]): Placement {
  const aligned = roundUp(length, 2 ** nodes[0]!.height)
  const last = aligned + sectorsOf(nodes) - 1
  const crosses = aligned % SEGMENT_CHUNKS !== 0 && Math.floor(last / SEGMENT_CHUNKS) !== Math.floor(aligned / SEGMENT_CHUNKS)
  let end = crosses ? roundUp(aligned, SEGMENT_CHUNKS) : length
  const starts = nodes.map(({ height }) => {
    const start = roundUp(end, 2 ** height)
    end = start + 2 ** height
    return start
  })
  return { starts, length: end }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple
}

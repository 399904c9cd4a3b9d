import { readFileSync } from 'node:fs'

/** `simd` hashes three messages at a time; `scalar`, one at a time, runs where WebAssembly has no SIMD. Same results. */
export type Flavour = 'simd' | 'scalar'

const CHUNK_BYTES = 256
const SEGMENT_CHUNKS = 1024
const SEGMENT_BYTES = CHUNK_BYTES * SEGMENT_CHUNKS
const HASH_BYTES = 32
const BLOCK_BYTES = 136
const SEAL_BYTES = 4096
const SEED_BYTES = 64
const SCRATCHPAD_BYTES = 16384

/**
 * How many items the kernels take at once: as many as fit their input area of 256 KiB. For hashes that is a power of two, which keeps
 * the shape of the tree; scratchpads come in threes.
 */
const BATCH = {
  blocks: Math.floor(SEGMENT_BYTES / BLOCK_BYTES),
  hashes: SEGMENT_BYTES / HASH_BYTES,
  seals: SEGMENT_BYTES / SEAL_BYTES,
  scratchpads: 15,
}

/**
 * Keccak-256 in bulk. Results are fresh arrays; arguments are never kept or, unless said, written to.
 * An instance has its own memory (about 0.4 MB) and is used by one thread.
 */
export interface Kernel {
  readonly flavour: Flavour
  /** Keccak-256 of a message of any length. */
  keccak256(message: Uint8Array): Uint8Array
  /** Hashes of `chunks` chunks of 256 bytes, 32·chunks bytes long. Where `data` ends early, zeros follow. */
  chunkHashes(data: Uint8Array, chunks: number): Uint8Array
  /** Root of the tree over `chunks` ≤ 1024 chunks: `data` (at most 256·chunks bytes) followed by zeros. */
  segmentRoot(data: Uint8Array, chunks: number): Uint8Array
  /** Root over n ≥ 1 hashes (32·n bytes): neighbours pair up level by level, an odd last one is carried up (RFC 6962 shape). */
  reduce(hashes: Uint8Array): Uint8Array
  /** Seals k seals of 4096 bytes in place; `firstMasks` is 32·k bytes. Storage §6.3. */
  seal(data: Uint8Array, firstMasks: Uint8Array): void
  /** The inverse of `seal`, in place. */
  unseal(data: Uint8Array, firstMasks: Uint8Array): void
  /** Expands k seeds of 64 bytes to k scratchpads of 16,384 bytes; fastest for multiples of three. Storage §6.4, step 3. */
  scratchpads(seeds: Uint8Array): Uint8Array
}

interface Exports {
  memory: WebAssembly.Memory
  input: WebAssembly.Global
  hashes: WebAssembly.Global
  chunkHashes(count: number): void
  reduce(at: number, count: number): void
  seal(count: number): void
  unseal(count: number): void
  scratchpads(count: number): void
  begin(): void
  absorb(blocks: number): void
  finish(length: number): void
}

const modules = new Map<Flavour, WebAssembly.Module>()

function compile(flavour: Flavour): WebAssembly.Module {
  const known = modules.get(flavour)
  if (known) return known
  const module = new WebAssembly.Module(read(flavour))
  modules.set(flavour, module)
  return module
}

function read(flavour: Flavour): Uint8Array {
  const file = new URL(`../build/keccak-${flavour}.wasm`, import.meta.url)
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new Error(`The codec is not built: ${file.pathname} cannot be read. Run "npm run build".`, { cause })
  }
}

/** A kernel with its own memory, in the fastest flavour the engine runs unless one is named. */
export function loadKernel(flavour: Flavour = WebAssembly.validate(read('simd')) ? 'simd' : 'scalar'): Kernel {
  return new WasmKernel(flavour)
}

let ofThread: Kernel | undefined

/** The kernel that short synchronous calls of this thread share, loaded at the first one. */
export function threadKernel(): Kernel {
  ofThread ??= loadKernel()
  return ofThread
}

class WasmKernel implements Kernel {
  readonly flavour: Flavour
  readonly #wasm: Exports
  readonly #memory: Uint8Array
  readonly #input: number
  readonly #hashes: number

  constructor(flavour: Flavour) {
    this.flavour = flavour
    this.#wasm = new WebAssembly.Instance(compile(flavour)).exports as unknown as Exports
    this.#memory = new Uint8Array(this.#wasm.memory.buffer)
    this.#input = this.#wasm.input.value
    this.#hashes = this.#wasm.hashes.value
  }

  keccak256(message: Uint8Array): Uint8Array {
    this.#wasm.begin()
    const whole = Math.floor(message.length / BLOCK_BYTES)
    for (let done = 0; done < whole; done += BATCH.blocks) {
      const blocks = Math.min(BATCH.blocks, whole - done)
      this.#put(this.#input, message.subarray(done * BLOCK_BYTES, (done + blocks) * BLOCK_BYTES))
      this.#wasm.absorb(blocks)
    }
    const rest = message.subarray(whole * BLOCK_BYTES)
    this.#put(this.#input, rest)
    this.#wasm.finish(rest.length)
    return this.#take(this.#hashes, HASH_BYTES)
  }

  chunkHashes(data: Uint8Array, chunks: number): Uint8Array {
    checkChunks(data, chunks, Number.MAX_SAFE_INTEGER)
    const hashes = new Uint8Array(chunks * HASH_BYTES)
    for (let done = 0; done < chunks; done += SEGMENT_CHUNKS) {
      const count = Math.min(SEGMENT_CHUNKS, chunks - done)
      this.#hashChunks(data.subarray(done * CHUNK_BYTES, (done + count) * CHUNK_BYTES), count)
      hashes.set(this.#view(this.#hashes, count * HASH_BYTES), done * HASH_BYTES)
    }
    return hashes
  }

  segmentRoot(data: Uint8Array, chunks: number): Uint8Array {
    checkChunks(data, chunks, SEGMENT_CHUNKS)
    this.#hashChunks(data, chunks)
    this.#wasm.reduce(this.#hashes, chunks)
    return this.#take(this.#hashes, HASH_BYTES)
  }

  reduce(hashes: Uint8Array): Uint8Array {
    const count = items(hashes, HASH_BYTES, 'hashes')
    if (count === 0) throw new RangeError('There is no root over zero hashes.')
    const roots = new Uint8Array(Math.ceil(count / BATCH.hashes) * HASH_BYTES)
    for (let done = 0; done < count; done += BATCH.hashes) {
      const batch = Math.min(BATCH.hashes, count - done)
      this.#put(this.#input, hashes.subarray(done * HASH_BYTES, (done + batch) * HASH_BYTES))
      this.#wasm.reduce(this.#input, batch)
      roots.set(this.#view(this.#input, HASH_BYTES), (done / BATCH.hashes) * HASH_BYTES)
    }
    return roots.length === HASH_BYTES ? roots : this.reduce(roots)
  }

  seal(data: Uint8Array, firstMasks: Uint8Array): void {
    this.#eachBatchOfSeals(data, firstMasks, this.#wasm.seal)
  }

  unseal(data: Uint8Array, firstMasks: Uint8Array): void {
    this.#eachBatchOfSeals(data, firstMasks, this.#wasm.unseal)
  }

  scratchpads(seeds: Uint8Array): Uint8Array {
    const count = items(seeds, SEED_BYTES, 'seeds')
    const pads = new Uint8Array(count * SCRATCHPAD_BYTES)
    for (let done = 0; done < count; done += BATCH.scratchpads) {
      const batch = Math.min(BATCH.scratchpads, count - done)
      this.#put(this.#hashes, seeds.subarray(done * SEED_BYTES, (done + batch) * SEED_BYTES))
      this.#wasm.scratchpads(batch)
      pads.set(this.#view(this.#input, batch * SCRATCHPAD_BYTES), done * SCRATCHPAD_BYTES)
    }
    return pads
  }

  #hashChunks(data: Uint8Array, chunks: number): void {
    this.#put(this.#input, data)
    this.#memory.fill(0, this.#input + data.length, this.#input + chunks * CHUNK_BYTES)
    this.#wasm.chunkHashes(chunks)
  }

  #eachBatchOfSeals(data: Uint8Array, firstMasks: Uint8Array, run: (count: number) => void): void {
    const count = items(data, SEAL_BYTES, 'data')
    if (items(firstMasks, HASH_BYTES, 'firstMasks') !== count) throw new RangeError(`${count} seals need as many first masks, got ${firstMasks.length} bytes.`)
    for (let done = 0; done < count; done += BATCH.seals) {
      const batch = Math.min(BATCH.seals, count - done)
      this.#put(this.#input, data.subarray(done * SEAL_BYTES, (done + batch) * SEAL_BYTES))
      this.#put(this.#hashes, firstMasks.subarray(done * HASH_BYTES, (done + batch) * HASH_BYTES))
      run(batch)
      data.set(this.#view(this.#input, batch * SEAL_BYTES), done * SEAL_BYTES)
    }
  }

  #put(at: number, bytes: Uint8Array): void {
    this.#memory.set(bytes, at)
  }

  #view(at: number, length: number): Uint8Array {
    return this.#memory.subarray(at, at + length)
  }

  #take(at: number, length: number): Uint8Array {
    return this.#memory.slice(at, at + length)
  }
}

function checkChunks(data: Uint8Array, chunks: number, limit: number): void {
  if (!Number.isSafeInteger(chunks) || chunks < 1 || chunks > limit) throw new RangeError(`Expected 1 to ${limit} chunks, got ${chunks}.`)
  if (data.length > chunks * CHUNK_BYTES) throw new RangeError(`${data.length} bytes do not fit ${chunks} chunks of ${CHUNK_BYTES} bytes.`)
}

function items(bytes: Uint8Array, size: number, name: string): number {
  if (bytes.length % size !== 0) throw new RangeError(`${name}: ${bytes.length} bytes are not a multiple of ${size}.`)
  return bytes.length / size
}

import { readFileSync } from 'node:fs'

/** `simd` works on four hashes and sixteen bytes of rows at a time; `scalar` runs where WebAssembly has no (relaxed) SIMD. Same results. */
export type Flavour = 'simd' | 'scalar'

/** What a thread can be asked to do (`assembly/kernels.ts`); all arguments are addresses and sizes in the shared memory. */
export type Kernel = 'extend' | 'locate' | 'recover' | 'leaves' | 'rowLeaves' | 'tree' | 'walk' | 'coefficients' | 'combine' | 'compare' | 'toRows'

/** A kernel with its arguments, but for the scratch memory: every thread has its own. */
export type Call = [kernel: Kernel, ...args: number[]]

export type SharedMemory = WebAssembly.Memory<SharedArrayBuffer>

/** What every thread of a codec works with. */
export interface Shared {
  module: WebAssembly.Module
  memory: SharedMemory
}

/** Scratch memory of a thread: two areas of rows, the largest transform (2^14 rows) in stripes of 64 bytes. */
export const SCRATCH_BYTES = 2 * 2 ** 14 * 64

const modules = new Map<Flavour, WebAssembly.Module>()

function read(flavour: Flavour): Uint8Array {
  const file = new URL(`../build/rows-${flavour}.wasm`, import.meta.url)
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new Error(`The codec is not built: ${file.pathname} cannot be read. Run "npm run build".`, { cause })
  }
}

export const fastestFlavour = (): Flavour => (WebAssembly.validate(read('simd')) ? 'simd' : 'scalar')

export function compile(flavour: Flavour): WebAssembly.Module {
  const module = modules.get(flavour) ?? new WebAssembly.Module(read(flavour))
  modules.set(flavour, module)
  return module
}

/** Prepares the memory that threads will share, and says where in it their own memory begins. */
export function initialize({ module, memory }: Shared): number {
  const { init, arena } = new WebAssembly.Instance(module, { env: { memory } }).exports as { init(): void; arena: WebAssembly.Global }
  init()
  return arena.value
}

/** A function that makes calls in this thread, with the scratch memory at an address. */
export function caller({ module, memory }: Shared, scratch: number): (calls: Call[]) => void {
  const kernels = new WebAssembly.Instance(module, { env: { memory } }).exports as Record<Kernel, (...args: number[]) => void>
  return (calls) => {
    for (const [kernel, ...args] of calls) kernels[kernel](scratch, ...args)
  }
}

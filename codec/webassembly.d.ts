// The part of the WebAssembly JavaScript interface that the loaders use: TypeScript has it only in its DOM library, which would
// make every other browser global compile as well.
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array)
  }
  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, unknown>>)
    readonly exports: Record<string, unknown>
  }
  class Memory<Buffer extends ArrayBufferLike = ArrayBuffer> {
    constructor(descriptor: { initial: number; maximum: number; shared: true })
    readonly buffer: Buffer
    grow(pages: number): number
  }
  interface Global {
    readonly value: number
  }
  let validate: (bytes: Uint8Array) => boolean
}

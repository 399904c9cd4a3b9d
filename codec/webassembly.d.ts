// The part of the WebAssembly JavaScript interface that the loader uses: TypeScript has it only in its DOM library, which would
// make every other browser global compile as well.
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array)
  }
  class Instance {
    constructor(module: Module)
    readonly exports: Record<string, unknown>
  }
  interface Memory {
    readonly buffer: ArrayBuffer
  }
  interface Global {
    readonly value: number
  }
  let validate: (bytes: Uint8Array) => boolean
}

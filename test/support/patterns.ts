/** The contents that the storage vectors name: `p1` repeats every 256 bytes, so that only `p2` shows chunks out of order. */
export type Pattern = 'p1' | 'p2' | 'zero'

export function patternBytes(pattern: Pattern, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  if (pattern === 'p1') for (let i = 0; i < size; i++) bytes[i] = i * 31 + 7
  if (pattern === 'p2') for (let i = 0; i < size; i++) bytes[i] = Math.imul(i, 0x9e3779b1) >>> 24
  return bytes
}

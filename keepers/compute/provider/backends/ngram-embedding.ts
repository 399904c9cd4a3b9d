/**
 * Vectors of text without a model: every word, every pair of neighbouring words and every three characters of a word (with its ends marked) counts
 * 1 or −1 at a place of the vector, both from FNV-1a of its UTF-8; the vector then has length 1. Texts that share words and stems have a large
 * cosine. Integers and one square root: the same everywhere that has the same version of Unicode.
 */
export const DIMENSIONS = 256

const WORD = /[\p{L}\p{M}\p{N}]+/gu
const utf8 = new TextEncoder()

export function embed(text: string, dimensions: number): Float32Array {
  const counts = new Int32Array(dimensions)
  const words = text.normalize('NFKC').toLowerCase().match(WORD) ?? []
  for (const [i, word] of words.entries()) {
    add(counts, `w ${word}`)
    if (i > 0) add(counts, `p ${words[i - 1]} ${word}`)
    const marked = [...`<${word}>`]
    for (let at = 0; at + 3 <= marked.length; at++) add(counts, `c ${marked.slice(at, at + 3).join('')}`)
  }
  const length = Math.sqrt(counts.reduce((sum, count) => sum + count * count, 0))
  return Float32Array.from(counts, (count) => (length === 0 ? 0 : count / length))
}

function add(counts: Int32Array, feature: string): void {
  const hash = fnv1a(feature)
  counts[(hash >>> 1) % counts.length]! += hash & 1 ? 1 : -1
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of utf8.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  // FNV's low bits mix too little to take a remainder of.
  return (hash ^ (hash >>> 15)) >>> 0
}

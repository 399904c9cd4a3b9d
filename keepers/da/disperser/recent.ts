/** Reads at most once in `ms`, however often it is asked: many blobs at a time need to know the same of the chain. A failure is not kept. */
export function recent<T>(read: () => Promise<T>, ms: number): () => Promise<T> {
  let last: { at: number; value: Promise<T> } | undefined
  return () => {
    if (last && Date.now() - last.at < ms) return last.value
    const value = read()
    last = { at: Date.now(), value }
    value.catch(() => {
      if (last?.value === value) last = undefined
    })
    return value
  }
}

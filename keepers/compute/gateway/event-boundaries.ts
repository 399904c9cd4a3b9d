/** No event of anybody's is larger, with all its logprobs. */
const MAX_EVENT_BYTES = 8 * 1024 * 1024
const LF = 10
const CR = 13

/** Cuts a stream of server-sent events where events end (a blank line), so that one that breaks off leaves no torn event behind. */
export class EventBoundaries {
  #pending: Buffer = Buffer.alloc(0)

  /** Bytes of an event that has not ended. */
  get pending(): number {
    return this.#pending.length
  }

  /** Takes in what came and returns the events that are whole, byte for byte. @throws for an event without end */
  push(bytes: Uint8Array): Buffer {
    const all = this.#pending.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#pending, bytes])
    const end = endOfLast(all)
    this.#pending = all.subarray(end)
    if (this.#pending.length > MAX_EVENT_BYTES) throw new Error('its stream has an event without end')
    return all.subarray(0, end)
  }
}

/** Position behind the last blank line: two line ends in a row, each LF or CR LF. */
function endOfLast(bytes: Buffer): number {
  for (let at = bytes.lastIndexOf(LF); at > 0; at = bytes.lastIndexOf(LF, at - 1)) {
    const before = bytes[at - 1] === CR ? at - 2 : at - 1
    if (before >= 0 && bytes[before] === LF) return at + 1
  }
  return 0
}

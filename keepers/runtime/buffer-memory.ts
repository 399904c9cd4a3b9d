import { setFlagsFromString } from 'node:v8'

/**
 * For a process that many bytes pass through. V8 looks through its whole heap whenever buffers have grown by 64 MiB, which took half of a signer's processor time;
 * with this it does when heap and buffers together have grown as much as a heap may. What that costs is memory.
 */
export function countBuffersAsHeap(): void {
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}

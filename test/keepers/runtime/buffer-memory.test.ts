import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'

const MODULE = pathToFileURL(join(import.meta.dirname, '../../../keepers/runtime/buffer-memory.ts')).href

/** Prints how often the whole heap was looked through while a gigabyte of buffers passed. */
const passing = (before: string) => `
  import { constants, PerformanceObserver } from 'node:perf_hooks'
  import { setImmediate as turn } from 'node:timers/promises'
  ${before}
  let collections = 0
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().filter(({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR).length
  })
  observer.observe({ entryTypes: ['gc'] })
  for (let i = 0; i < 1000; i++) {
    Buffer.allocUnsafe(1_000_000)
    if (i % 10 === 0) await turn()
  }
  await turn()
  console.log(collections)`

const collections = async (before: string): Promise<number> => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', passing(before)], { env: { PATH: process.env.PATH } })
  return Number(stdout)
}

describe('memory of buffers', function () {
  this.timeout(120_000)

  it('given buffers that count as heap, when many pass, then the heap is hardly ever looked through for them', async () => {
    const usual = await collections('')
    const counted = await collections(`const { countBuffersAsHeap } = await import('${MODULE}')\ncountBuffersAsHeap()`)
    expect(usual).to.be.at.least(4)
    expect(counted).to.be.at.most(usual / 4)
  })
})

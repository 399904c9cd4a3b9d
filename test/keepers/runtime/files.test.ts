import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { DiskFull, lockFolder, PositionalFile, writeFileAtomic } from '../../../keepers/runtime/files.ts'

describe('files that survive a crash', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perigee-files-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('replaces a file whole, leaving nothing else behind', async () => {
    const path = join(folder, 'state')
    await writeFileAtomic(path, 'first, and longer')
    await writeFileAtomic(path, new TextEncoder().encode('second'))
    expect(readFileSync(path, 'utf8')).to.equal('second')
    expect(readdirSync(folder)).to.deep.equal(['state'])
  })

  it('keeps the old content when the new one can not be put in place', async () => {
    const path = join(folder, 'state')
    await writeFileAtomic(join(folder, 'other'), 'x')
    const error = await writeFileAtomic(join(path, 'in no folder'), 'new').catch((error: NodeJS.ErrnoException) => error)
    expect((error as NodeJS.ErrnoException).code).to.equal('ENOENT')
    expect(readdirSync(folder)).to.deep.equal(['other'])
  })

  it('writes and reads at positions, keeping what is there when opened again', async () => {
    const path = join(folder, 'data')
    const file = await PositionalFile.open(path)
    await file.write(10, Uint8Array.of(1, 2, 3))
    await file.sync()
    await file.close()
    const again = await PositionalFile.open(path)
    expect(await again.size()).to.equal(13)
    expect([...(await again.read(9, 10))]).to.deep.equal([0, 1, 2, 3])
    await again.truncate(11)
    expect([...(await again.read(10, 5))]).to.deep.equal([1])
    await again.close()
  })

  it('says that the disk is full', async function () {
    if (!existsSync('/dev/full')) this.skip()
    const file = await PositionalFile.open('/dev/full')
    const error = await file.write(0, new Uint8Array(4096)).catch((error: unknown) => error)
    await file.close()
    expect(error).to.be.instanceOf(DiskFull)
    expect((error as DiskFull).message).to.equal('no space left to write /dev/full: free some space, then it goes on by itself')
  })

  describe('the lock of a folder', () => {
    it('is given once, and again after it was given back', () => {
      const unlock = lockFolder(folder)
      expect(() => lockFolder(folder)).to.throw(`${folder} is already in use by this process`)
      unlock()
      lockFolder(folder)()
    })

    it('is refused while the process that has it lives, and taken over when it is gone', async () => {
      const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
      await new Promise((resolve) => other.once('spawn', resolve))
      writeFileSync(join(folder, 'lock'), `${other.pid} `)
      expect(() => lockFolder(folder)).to.throw(`${folder} is in use by process ${other.pid}: stop it, or give this one another dataDir`)
      const gone = new Promise((resolve) => other.once('exit', resolve))
      other.kill('SIGKILL')
      await gone
      lockFolder(folder)()
    })

    it('is taken over from an earlier process that had our id, as in a container', () => {
      writeFileSync(join(folder, 'lock'), `${process.pid} 1`)
      lockFolder(folder)()
    })

    it('is taken over when its process id now belongs to a younger process', function () {
      if (process.platform !== 'linux') this.skip()
      writeFileSync(join(folder, 'lock'), `${process.ppid} 1`)
      lockFolder(folder)()
    })

    it('is taken over when what is in it makes no sense, as after a power cut', () => {
      writeFileSync(join(folder, 'lock'), '')
      lockFolder(folder)()
    })
  })
})

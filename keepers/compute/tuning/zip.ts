import { crc32 } from 'node:zlib'

// A ZIP archive of small files, uncompressed (APPNOTE 6.3, "stored").

const LOCAL = 0x04034b50
const CENTRAL = 0x02014b50
const END = 0x06054b50
const VERSION = 20
/** 1980-01-01, the first day the format knows: the same files make the same archive. */
const DATE = 0x21

/** @param files content by name, under 4 GiB together */
export function zip(files: Record<string, Uint8Array>): Uint8Array {
  const entries: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const [name, content] of Object.entries(files)) {
    const path = Buffer.from(name)
    const fields = fieldsOf(path, content)
    const local = Buffer.concat([u32(LOCAL), fields, path, content])
    directory.push(Buffer.concat([u32(CENTRAL), u16(VERSION), fields, u16(0), u16(0), u16(0), u32(0), u32(at), path]))
    entries.push(local)
    at += local.length
  }
  const central = Buffer.concat(directory)
  const count = u16(directory.length)
  return Buffer.concat([...entries, central, u32(END), u16(0), u16(0), count, count, u32(central.length), u32(at), u16(0)])
}

/** What the header of an entry and that of the directory share: version, flags, method, time, date, checksum, sizes, lengths. */
function fieldsOf(path: Buffer, content: Uint8Array): Buffer {
  const size = u32(content.length)
  return Buffer.concat([u16(VERSION), u16(0x0800), u16(0), u16(0), u16(DATE), u32(crc32(content)), size, size, u16(path.length), u16(0)])
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

// Writes docs/reference/<module>.md from the NatSpec of the contracts, as the compiler saw it.
// Usage: npm run docs [-- --check]   (--check writes nothing and fails when a page is out of date)
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Fragment, Interface } from 'ethers'

type Doc = { notice?: string; details?: string; params?: Record<string, string>; returns?: Record<string, string> }
type Compiled = {
  abi: unknown[]
  userdoc: { notice?: string; methods?: Record<string, Doc>; events?: Record<string, Doc>; errors?: Record<string, Doc[]> }
  devdoc: { title?: string; details?: string; methods?: Record<string, Doc>; events?: Record<string, Doc>; errors?: Record<string, Doc[]> }
}

const root = join(import.meta.dirname, '..')
const out = join(root, 'docs', 'reference')

/** Newest compilation of every source under contracts/. */
function compiled(): Map<string, Map<string, Compiled>> {
  const folder = join(root, 'artifacts', 'build-info')
  const sources = new Map<string, Map<string, Compiled>>()
  const files = readdirSync(folder).filter((name) => name.endsWith('.output.json'))
  // An incremental build leaves the outputs of earlier ones behind.
  const age = (file: string): number => statSync(join(folder, file)).mtimeMs
  for (const file of files.sort((a, b) => age(a) - age(b))) {
    const { output } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { output: { contracts?: Record<string, Record<string, Compiled>> } }
    for (const [source, contracts] of Object.entries(output.contracts ?? {})) {
      const path = source.replace(/^project\//, '')
      if (path.startsWith('contracts/')) sources.set(path, new Map(Object.entries(contracts)))
    }
  }
  return sources
}

const oneLine = (text: string | undefined) => (text ?? '').replace(/\s+/g, ' ').trim()

/** NatSpec of one function, event or error: compiler docs are keyed by its canonical signature. */
function describe(contract: Compiled, fragment: Fragment): string {
  const key = fragment.format('sighash')
  const kind = fragment.type === 'function' ? 'methods' : fragment.type === 'event' ? 'events' : 'errors'
  const pick = (doc: Compiled['userdoc'] | Compiled['devdoc']): Doc => {
    const found = (doc as Record<string, Record<string, Doc | Doc[]> | undefined>)[kind]?.[key]
    return (Array.isArray(found) ? found[0] : found) ?? {}
  }
  const dev = pick(contract.devdoc)
  const lines = [oneLine(pick(contract.userdoc).notice), oneLine(dev.details)].filter(Boolean)
  for (const [name, text] of Object.entries(dev.params ?? {})) lines.push(`\`${name}\`: ${oneLine(text)}`)
  for (const [name, text] of Object.entries(dev.returns ?? {})) lines.push(`returns${name.startsWith('_') ? '' : ` \`${name}\``}: ${oneLine(text)}`)
  return lines.join('<br>')
}

function page(name: string, contract: Compiled): string {
  const abi = new Interface(contract.abi as never)
  const lines = [`## ${name}`, '']
  for (const text of [contract.devdoc.title, contract.userdoc.notice, contract.devdoc.details]) if (text) lines.push(oneLine(text), '')
  for (const [type, heading] of [
    ['function', 'Functions'],
    ['event', 'Events'],
    ['error', 'Errors'],
  ] as const) {
    const rows = abi.fragments.filter((fragment) => fragment.type === type)
    if (rows.length === 0) continue
    lines.push(`| ${heading} | |`, '|---|---|')
    for (const fragment of rows) {
      const signature = fragment.format('full').replace(/^(function|event|error) /, '')
      lines.push(`| \`${signature}\` | ${describe(contract, fragment)} |`)
    }
    lines.push('')
  }
  return lines.join('\n')
}

const modules = new Map<string, string[]>()
for (const [source, contracts] of [...compiled()].sort(([a], [b]) => (a < b ? -1 : 1))) {
  const module = source.split('/')[1]!
  for (const [name, contract] of contracts) {
    if (contract.abi.length === 0) continue
    if (!modules.has(module)) modules.set(module, [`# ${module}: contract reference`, '', 'Generated from the contracts by `npm run docs`.', ''])
    modules.get(module)!.push(page(name, contract))
  }
}

const check = process.argv.includes('--check')
mkdirSync(out, { recursive: true })
for (const [module, parts] of modules) {
  const file = join(out, `${module}.md`)
  const text = `${parts.join('\n').trimEnd()}\n`
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
  if (check) {
    console.error(`docs/reference/${module}.md is out of date: npm run docs`)
    process.exitCode = 1
  } else writeFileSync(file, text)
}

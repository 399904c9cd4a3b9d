// Storage layouts of the upgradeable contracts: recorded in deployments/layouts, compared with what was built.
// A layout may only grow at its end. Usage: npm run layouts [-- --check]   (--check writes nothing and fails on a difference)
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  assertUpgradeSafe,
  getContractVersion,
  getStorageLayout,
  getStorageUpgradeReport,
  makeNamespacedInput,
  type SolcInput,
  type SolcOutput,
  type StorageLayout,
  solcInputOutputDecoder,
  UpgradesError,
  validate,
  withValidationDefaults,
} from '@openzeppelin/upgrades-core'
import solc from 'solc'

const root = join(import.meta.dirname, '..')
const recorded = join(root, 'deployments', 'layouts')
const options = withValidationDefaults({ kind: 'uups' })

interface Artifact {
  contractName: string
  inputSourceName: string
  buildInfoId: string
  abi: { name?: string }[]
}

const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'))

/** Artifacts of the UUPS implementations in contracts/. */
function upgradeable(): Artifact[] {
  const folder = join(root, 'artifacts', 'contracts')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.json'))
    .map((path) => readJson(join(folder, path)) as Artifact)
    .filter(({ abi }) => abi.some(({ name }) => name === 'proxiableUUID'))
    .sort((a, b) => a.contractName.localeCompare(b.contractName))
}

function validated(buildInfoId: string) {
  const folder = join(root, 'artifacts', 'build-info')
  const { input, solcVersion } = readJson(join(folder, `${buildInfoId}.json`)) as { input: SolcInput; solcVersion: string }
  const { output } = readJson(join(folder, `${buildInfoId}.output.json`)) as { output: SolcOutput }
  // ERC-7201 structs have no layout of their own in the compiler's output; as variables they do.
  const cache = join(root, 'cache', 'layouts')
  const cached = join(cache, `${buildInfoId}.json`)
  let namespaced: string
  try {
    namespaced = readFileSync(cached, 'utf8')
  } catch {
    namespaced = solc.compile(JSON.stringify(makeNamespacedInput(input, output)))
    mkdirSync(cache, { recursive: true })
    writeFileSync(cached, namespaced)
  }
  const run = validate(output, solcInputOutputDecoder(input, output), solcVersion, input, JSON.parse(namespaced))
  return { run, data: { version: '3.4' as const, log: [run] } }
}

/** Only what a comparison needs: no source positions. */
function stable({ namespaces, storage, types }: StorageLayout): StorageLayout {
  const without = (layout: unknown) => JSON.parse(JSON.stringify(layout, (key, value) => (key === 'astId' || key === 'src' ? undefined : value)))
  return without({ layoutVersion: '1.2', storage, types, namespaces })
}

/** As text, without the ids that a compiler run gives to types. */
const withoutIds = (layout: StorageLayout) => JSON.stringify(layout).replaceAll(/(t_\w+\(\w+\))\d+/g, '$1')

/** Layout by contract name; throws if an implementation is not safe to stand behind a UUPS proxy. */
export function builtLayouts(): Map<string, StorageLayout> {
  const runs = new Map<string, ReturnType<typeof validated>>()
  const layouts = new Map<string, StorageLayout>()
  for (const { contractName, inputSourceName, buildInfoId } of upgradeable()) {
    const { run, data } = runs.get(buildInfoId) ?? validated(buildInfoId)
    runs.set(buildInfoId, { run, data })
    const version = getContractVersion(run, `${inputSourceName}:${contractName}`)
    assertUpgradeSafe(data, version, options)
    layouts.set(contractName, stable(getStorageLayout(data, version)))
  }
  return layouts
}

export function recordedLayout(contractName: string): StorageLayout | undefined {
  const path = join(recorded, `${contractName}.json`)
  return existsSync(path) ? readJson(path) : undefined
}

/** What an upgrade from `before` to `after` would break; empty if nothing. */
export function incompatibilities(before: StorageLayout, after: StorageLayout): string {
  const report = getStorageUpgradeReport(before, after, options)
  return report.ok ? '' : report.explain(false)
}

/** Problems of the built layouts, each a sentence or more. */
export function checkLayouts(): string[] {
  const refresh = 'record it with: npm run layouts'
  const problems: string[] = []
  let layouts: Map<string, StorageLayout>
  try {
    layouts = builtLayouts()
  } catch (error) {
    if (error instanceof UpgradesError) return [error.message]
    throw error
  }
  for (const [name, layout] of layouts) {
    const before = recordedLayout(name)
    if (!before) {
      problems.push(`${name} has no recorded layout; ${refresh}`)
      continue
    }
    const broken = incompatibilities(before, layout)
    if (broken) problems.push(`${name} cannot follow its recorded layout: ${broken}`)
    else if (withoutIds(before) !== withoutIds(layout)) problems.push(`${name} has grown compatibly; ${refresh}`)
  }
  return problems
}

function record() {
  mkdirSync(recorded, { recursive: true })
  for (const [name, layout] of builtLayouts()) {
    const before = recordedLayout(name)
    if (before && withoutIds(before) === withoutIds(layout)) continue
    writeFileSync(join(recorded, `${name}.json`), `${JSON.stringify(layout, null, 2)}\n`)
  }
}

if (import.meta.main) {
  if (process.argv.includes('--check')) {
    const problems = checkLayouts()
    for (const problem of problems) console.error(problem)
    process.exitCode = problems.length === 0 ? 0 : 1
  } else record()
}

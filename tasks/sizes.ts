import type { NewTaskActionFunction } from 'hardhat/types/tasks'

/** Bytes of code a contract may have (EIP-170). */
const LIMIT = 24_576

const action: NewTaskActionFunction = async (_, hre) => {
  await hre.tasks.getTask('build').run({ quiet: true })
  const sizes: [string, number][] = []
  for (const name of await hre.artifacts.getAllFullyQualifiedNames()) {
    if (!name.startsWith('contracts/')) continue
    const { deployedBytecode } = await hre.artifacts.readArtifact(name)
    const bytes = (deployedBytecode.length - 2) / 2
    if (bytes > 0) sizes.push([name, bytes])
  }
  for (const [name, bytes] of sizes.toSorted(([, a], [, b]) => b - a))
    console.log(`${String(bytes).padStart(6)}  ${((100 * bytes) / LIMIT).toFixed(0).padStart(3)} %  ${name}`)
  const over = sizes.filter(([, bytes]) => bytes > LIMIT)
  if (over.length === 0) return
  console.error(`above ${LIMIT} bytes (EIP-170): ${over.map(([name]) => name).join(', ')}`)
  process.exitCode = 1
}
export default action

import { explained } from './failure.ts'

export default explained<{ profile: string; book: string; randomness: string }>(async ({ profile: name, book: folder, randomness }, hre) => {
  await hre.tasks.getTask('build').run({ quiet: true })
  const { AddressBook } = await import('../deploy/address-book.ts')
  const { deploy, openBook } = await import('../deploy/deploy.ts')
  const { PROFILES } = await import('../deploy/profiles.ts')
  const { SOURCES } = await import('../deploy/randomness.ts')
  const { deploymentSigner } = await import('./signer.ts')

  const profile = PROFILES[name]
  if (!profile) throw new Error(`there is no profile "${name}"; known: ${Object.keys(PROFILES).join(', ')}`)
  const source = SOURCES[randomness]
  if (randomness && !source) throw new Error(`there is no randomness "${randomness}"; known: ${Object.keys(SOURCES).join(', ')}`)
  const { ethers, networkConfig } = await hre.network.create()
  const signer = await deploymentSigner(ethers)
  // A simulated network is gone with this process: a rehearsal, which leaves no book.
  const book = networkConfig.type === 'http' ? await openBook(signer, folder) : AddressBook.open(networkConfig.chainId)
  const chosen = profile.da && source ? { ...profile, da: { ...profile.da, randomness: source } } : profile
  const contracts = await deploy({ signer, profile: chosen, book, onStep: (step) => console.log(step) })
  console.table(contracts)
})

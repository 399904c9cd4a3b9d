import { explained } from './failure.ts'

export default explained<{ profile: string; book: string }>(async ({ profile: name, book: folder }, hre) => {
  await hre.tasks.getTask('build').run({ quiet: true })
  const { AddressBook } = await import('../deploy/address-book.ts')
  const { deploy, openBook } = await import('../deploy/deploy.ts')
  const { PROFILES } = await import('../deploy/profiles.ts')
  const { deploymentSigner } = await import('./signer.ts')

  const profile = PROFILES[name]
  if (!profile) throw new Error(`there is no profile "${name}"; known: ${Object.keys(PROFILES).join(', ')}`)
  const { ethers, networkConfig } = await hre.network.create()
  const signer = await deploymentSigner(ethers)
  // A simulated network is gone with this process: a rehearsal, which leaves no book.
  const book = networkConfig.type === 'http' ? await openBook(signer, folder) : AddressBook.open(networkConfig.chainId)
  const contracts = await deploy({ signer, profile, book, onStep: (step) => console.log(step) })
  console.table(contracts)
})

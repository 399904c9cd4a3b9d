import { explained } from './failure.ts'

export default explained<{ price: string; book: string; proposal: boolean }>(async ({ price, book: folder, proposal }, hre) => {
  await hre.tasks.getTask('build').run({ quiet: true })
  const { openBook } = await import('../deploy/deploy.ts')
  const { deploymentSigner } = await import('./signer.ts')
  const { StorageMarket__factory } = await import('../typechain-types/index.ts')

  if (!/^\d+$/.test(price)) throw new Error(`the price must be a whole number of wei, got "${price}"`)
  const { ethers } = await hre.network.create()
  const signer = await deploymentSigner(ethers)
  const market = StorageMarket__factory.connect((await openBook(signer, folder)).get('StorageMarket'), signer)
  if (proposal) {
    const data = market.interface.encodeFunctionData('schedulePrice', [BigInt(price)])
    console.log(JSON.stringify({ target: await market.getAddress(), value: '0', data }, null, 2))
    return
  }
  await (await market.schedulePrice(BigInt(price))).wait()
  const [next, effectiveAt] = await market.scheduledPrice()
  console.log(`${next} wei per sector from ${new Date(Number(effectiveAt) * 1000).toISOString()}; now ${await market.pricePerSector()}`)
})

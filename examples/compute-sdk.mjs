// The public compute SDK, unmodified, against the local network: npx node examples/compute-sdk.mjs
import { readFileSync } from 'node:fs'
import { createZGComputeNetworkBroker } from '@0gfoundation/0g-compute-ts-sdk'
import { JsonRpcProvider, parseEther, Wallet } from 'ethers'

const { chain } = JSON.parse(readFileSync(process.env.PERIGEE_NETWORK ?? '.devnet/devnet.json', 'utf8'))
const broker = await createZGComputeNetworkBroker(new Wallet(chain.accounts[9].privateKey, new JsonRpcProvider(chain.rpcUrl)))
const [service] = await broker.inference.listService()

const hasLedger = await broker.ledger.getLedger().then(Boolean, () => false)
if (!hasLedger) {
  await broker.ledger.addLedger(5)
  await broker.ledger.transferFund(service.provider, 'inference', parseEther('4'))
  await broker.inference.acknowledgeProviderSigner(service.provider)
}

const { endpoint, model } = await broker.inference.getServiceMetadata(service.provider)
const response = await fetch(`${endpoint}/chat/completions`, {
  method: 'POST',
  headers: { 'content-type': 'application/json', ...(await broker.inference.getRequestHeaders(service.provider)) },
  body: JSON.stringify({ model, messages: [{ role: 'user', content: 'One thing is said. Another is said. A third is of no importance.' }] }),
})
const answer = await response.json()
console.log(answer.choices[0].message.content)
const verified = await broker.inference.processResponse(service.provider, response.headers.get('ZG-Res-Key'), JSON.stringify(answer.usage))
console.log('signed by the attested key:', verified)
process.exit()

import { parseEther, Wallet } from 'ethers'
import { connect } from '../deploy/networks.ts'
import { connectCompute } from '../sdk/compute/contracts.ts'
import { balanceOf, deposit, fund } from '../sdk/compute/ledger.ts'
import { ACCOUNTS } from './accounts.ts'
import type { NetworkDescription } from './service.ts'

/** What the gateway's account is given at a provider where it has less than a fifth of it. */
const FUNDS = parseEther('10')

/** Lets the gateway pay for whoever asks it on this machine; it is not ready before it can. */
export async function fundGateway({
  rpcUrl,
  accounts,
  contracts,
  ports,
}: Pick<NetworkDescription, 'rpcUrl' | 'accounts' | 'contracts' | 'ports'>): Promise<void> {
  const rpc = connect(rpcUrl)
  try {
    const signer = new Wallet(accounts[ACCOUNTS.computeGateway]!.privateKey, rpc)
    const market = connectCompute(contracts, signer)
    const { accounts: funded } = await balanceOf(market, signer.address)
    for (const provider of ports.computeProviders.map((_, i) => accounts[ACCOUNTS.computeProviders[i]!]!.address)) {
      const account = funded.find((candidate) => candidate.provider === provider)
      if (account && account.balance - account.pendingRefund >= FUNDS / 5n) continue
      await deposit(market, FUNDS)
      await fund(market, provider, FUNDS)
    }
  } finally {
    rpc.destroy()
  }
}

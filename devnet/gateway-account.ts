import { parseEther, Wallet } from 'ethers'
import { connect } from '../deploy/networks.ts'
import { connectCompute } from '../sdk/compute/contracts.ts'
import { balanceOf, deposit, fund } from '../sdk/compute/ledger.ts'
import type { DevnetFile } from './devnet-file.ts'
import { ACCOUNTS } from './services.ts'

/** What the gateway's account is given at a provider where it has less than a fifth of it. */
const FUNDS = parseEther('10')

/** Lets the gateway pay for whoever asks it on this machine. */
export async function fundGateway({ chain, contracts, services }: DevnetFile): Promise<void> {
  const rpc = connect(chain.rpcUrl)
  try {
    const signer = new Wallet(chain.accounts[ACCOUNTS.computeGateway]!.privateKey, rpc)
    const market = connectCompute(contracts, signer)
    const { accounts } = await balanceOf(market, signer.address)
    for (const { address } of services.computeProviders ?? []) {
      const account = accounts.find(({ provider }) => provider === address)
      if (account && account.balance - account.pendingRefund >= FUNDS / 5n) continue
      await deposit(market, FUNDS)
      await fund(market, address, FUNDS)
    }
  } finally {
    rpc.destroy()
  }
}

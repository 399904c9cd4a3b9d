import { Command } from 'commander'

/** Without its subcommands: what they stand on (gRPC, a WebAssembly codec) takes longer to load than the rest of the command line. */
export const daCommand = (): Command =>
  new Command('da').description('publish blobs with a certificate on chain, fetch them, and check that they are available')

/** Its subcommands, when one of them is wanted. */
export async function daSubcommands(): Promise<Command[]> {
  const { balanceCommand } = await import('./balance.ts')
  const { depositCommand } = await import('./deposit.ts')
  const { getCommand } = await import('./get.ts')
  const { putCommand } = await import('./put.ts')
  const { statusCommand } = await import('./status.ts')
  const { verifyCommand } = await import('./verify.ts')
  return [putCommand(), getCommand(), statusCommand(), verifyCommand(), depositCommand(), balanceCommand()]
}

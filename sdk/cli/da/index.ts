import { Command } from 'commander'
import { balanceCommand } from './balance.ts'
import { depositCommand } from './deposit.ts'
import { getCommand } from './get.ts'
import { putCommand } from './put.ts'
import { statusCommand } from './status.ts'
import { verifyCommand } from './verify.ts'

export function daCommand(): Command {
  const command = new Command('da').description('publish blobs with a certificate on chain, fetch them, and check that they are available')
  for (const child of [putCommand(), getCommand(), statusCommand(), verifyCommand(), depositCommand(), balanceCommand()]) command.addCommand(child)
  return command
}

import { Command } from 'commander'
import { getCommand } from './get.ts'
import { infoCommand } from './info.ts'
import { lsCommand } from './ls.ts'
import { putCommand } from './put.ts'
import { rootCommand } from './root.ts'
import { verifyCommand } from './verify.ts'

export function storageCommand(): Command {
  const command = new Command('storage').description('store files, and get them back')
  for (const child of [putCommand(), getCommand(), lsCommand(), infoCommand(), verifyCommand(), rootCommand()]) command.addCommand(child)
  return command
}

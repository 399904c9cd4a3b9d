import { Command } from 'commander'
import { balanceCommand } from './balance.ts'
import { chatCommand } from './chat.ts'
import { depositCommand } from './deposit.ts'
import { keyCommand } from './key.ts'
import { providerCommand } from './provider.ts'
import { providersCommand } from './providers.ts'
import { refundCommand } from './refund.ts'
import { verifyCommand } from './verify.ts'

export function computeCommand(): Command {
  return new Command('compute')
    .description('models of attested providers: find them, pay them, ask them, verify what they say')
    .addCommand(providersCommand())
    .addCommand(depositCommand())
    .addCommand(balanceCommand())
    .addCommand(chatCommand())
    .addCommand(verifyCommand())
    .addCommand(keyCommand())
    .addCommand(refundCommand())
    .addCommand(providerCommand())
}

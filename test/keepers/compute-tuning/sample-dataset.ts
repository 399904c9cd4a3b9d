import { Random } from '../../../keepers/compute/tuning/trainers/random.ts'
import type { Row } from '../../../protocol/compute/tuning-dataset.ts'

const ASKS: Record<string, readonly string[]> = {
  'Refunds take five days.': ['I want my money back for {x}', 'please refund {x}', 'how do I get a refund for {x}', 'return what I paid for {x}'],
  'Your parcel is on its way.': ['where is {x}', 'when will {x} arrive', 'track the delivery of {x}', 'the parcel with {x} is late'],
  'Use the reset link.': [
    'I forgot the password for {x}',
    'reset my login for {x}',
    'I cannot sign in to pay for {x}',
    'change the password of my account for {x}',
  ],
  'Thank you!': ['I love {x}', '{x} works great', '{x} is the best I ever had', 'wonderful, I am happy with {x}'],
}
const THINGS = [
  'the blue lamp',
  'my order',
  'a red bicycle',
  'the garden chair',
  'these shoes',
  'the phone',
  'a winter coat',
  'the coffee maker',
  'two books',
  'the keyboard',
]

/** Questions of customers and what to answer: what a small classifier can learn. Shuffled by a fixed seed. */
export function customerRows(): Row[] {
  const rows = Object.entries(ASKS).flatMap(([answer, asks]) => asks.flatMap((ask) => THINGS.map((thing) => ({ prompt: ask.replace('{x}', thing), answer }))))
  return Array.from(new Random(11).permutation(rows.length), (i) => rows[i]!)
}

/** As a user writes them: a conversation a line. `copies` makes the training longer. */
export function chatLines(rows: readonly Row[], copies = 1): string {
  const lines = rows.map(({ prompt, answer }) =>
    JSON.stringify({
      messages: [
        { role: 'system', content: 'You help customers.' },
        { role: 'user', content: prompt },
        { role: 'assistant', content: answer },
      ],
    }),
  )
  return Array.from({ length: copies }, () => lines.join('\n')).join('\n')
}

export const PARAMS = { neftune_noise_alpha: 5, num_train_epochs: 3, per_device_train_batch_size: 2, learning_rate: 0.0002, max_steps: -1 }

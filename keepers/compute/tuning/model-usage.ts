import { MAX_ANSWERS } from '../../../protocol/compute/tuned-model.ts'
import type { OfferedModel } from './models.ts'
import { zip } from './zip.ts'

/** What a user should know before she tunes a model, as the archive that the public SDK stores. */
export function modelUsage({ name, hash, description, tokenizer, coefficient }: OfferedModel, pricePerToken: bigint): Uint8Array {
  const text = `# ${name}

${description}

| | |
|---|---|
| hash | ${hash} |
| tokenizer | ${tokenizer} |
| fee | tokens of the dataset × ${pricePerToken * BigInt(coefficient)} wei × epochs, plus storage |

## Dataset
A .jsonl file (one JSON object a line) or a .json file (one array of them), UTF-8. Each row is one of

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}
    {"instruction": "…", "input": "…", "output": "…"}
    {"prompt": "…", "completion": "…"}
    {"text": "…", "label": "…"}

The embedded classifier learns up to ${MAX_ANSWERS} different answers; a row in ten is held out to measure it.

## Parameters
Exactly these, as JSON; numbers as decimals:

    {"neftune_noise_alpha": 5, "num_train_epochs": 3, "per_device_train_batch_size": 2, "learning_rate": 0.0002, "max_steps": -1}
`
  return zip({ 'README.md': new TextEncoder().encode(text), 'params.json': new TextEncoder().encode(EXAMPLE) })
}

const EXAMPLE = `${JSON.stringify({ neftune_noise_alpha: 5, num_train_epochs: 3, per_device_train_batch_size: 2, learning_rate: 0.0002, max_steps: -1 }, undefined, 2)}\n`

import { id } from 'ethers'
import type { Config } from './config.ts'
import { commandTrainer } from './trainers/command.ts'
import { embeddedTrainer } from './trainers/embedded.ts'
import type { Trainer } from './trainers/trainer.ts'

/** A base model that this provider tunes. */
export interface OfferedModel {
  name: string
  /** Lower case; tasks name their model by it. */
  hash: string
  description: string
  tokenizer: string
  coefficient: number
  /** Set when another model is trained in its place: the log of every task says so. */
  standsInFor: string | undefined
  trainer: Trainer
}

const EMBEDDED_NAME = 'perigee-classifier'
const EMBEDDED =
  'Embedded text classifier: learns which of the answers of a dataset (up to 4096 different ones) fits a question. Trains in seconds, on a CPU. It is not a language model.'
const EMBEDDED_TOKENIZER = 'perigee/words-1'

/** Names that the public SDK knows by itself, and the hashes it sends for them. On local chains the embedded model stands in for them. */
const SDK_MODELS = {
  'mock-model': '0xcb42b5ca9e998c82dd239ef2d20d22a4ae16b3dc0ce0a855c93b52c7c2bab6dc',
  'Qwen2.5-0.5B-Instruct': '0xb4f76a886b8655c92bb021922d60b5e4d9271a5c9da98b6cb10937a06c2c75a7',
  'Qwen3-32B': '0x2e6f9620c35bdcb2b753cc7aa34e78077a8ed133e36fa36008fd6bdfd29af3a5',
}

const LOCAL_CHAINS = [31337, 1337]

const embedded = (name: string, changes: Partial<OfferedModel> = {}): OfferedModel => ({
  name,
  hash: id(`perigee embedded model ${name}`),
  description: EMBEDDED,
  tokenizer: EMBEDDED_TOKENIZER,
  coefficient: 1,
  standsInFor: undefined,
  trainer: embeddedTrainer,
  ...changes,
})

/** What is offered: the configured models, or the embedded one. */
export function offeredModels({ models }: Pick<Config, 'models'>, chainId: number): OfferedModel[] {
  const configured = Object.entries(models).map(([name, model]): OfferedModel => {
    const { description, coefficient } = model
    if (model.trainer === 'embedded') return embedded(name, { description, coefficient, ...(model.hash && { hash: model.hash }) })
    const { hash, tokenizer } = model
    return { name, hash, description, tokenizer, coefficient, standsInFor: undefined, trainer: commandTrainer({ ...model, cleanup: model.cleanup }) }
  })
  const offered = configured.length > 0 ? configured : [embedded(EMBEDDED_NAME)]
  return LOCAL_CHAINS.includes(chainId) ? [...offered, ...standIns(offered)] : offered
}

function standIns(offered: readonly OfferedModel[]): OfferedModel[] {
  const missing = Object.entries(SDK_MODELS).filter(([name, hash]) => !offered.some((model) => model.name === name || model.hash === hash))
  return missing.map(([name, hash]) => embedded(name, { hash, description: `STAND-IN for local tests, not ${name}. ${EMBEDDED}`, standsInFor: name }))
}

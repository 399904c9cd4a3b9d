import { z } from 'zod'

// The embedded model: a classifier whose classes are the answers it was taught. A prompt is the mean of the embeddings of its features (words, pairs of words,
// and trigrams of letters, hashed into buckets), and a linear layer over it says which answer fits. Small, exact, and the same on every machine.
//
// File: "PGTM" | version u32 | length of the header u32 | header (JSON) | embeddings | weights | bias (float32). Little-endian.

export const ARCHITECTURE = 'bag-classifier/1'
const MAGIC = 0x4d544750 // "PGTM"
const VERSION = 1
const PREAMBLE = 12
const MAX_HEADER = 64 * 1024 * 1024

/** Distinct answers that a model can learn. */
export const MAX_ANSWERS = 4096

const Header = z.strictObject({
  architecture: z.literal(ARCHITECTURE),
  buckets: z
    .int()
    .min(1)
    .max(1 << 20),
  dimension: z.int().min(1).max(1024),
  answers: z.array(z.string()).min(1).max(MAX_ANSWERS),
  /** How it came to be; not needed to run it. */
  training: z.record(z.string(), z.union([z.string(), z.number()])),
})

export type ModelHeader = z.output<typeof Header>

export interface TunedModel {
  header: ModelHeader
  /** buckets × dimension */
  embeddings: Float32Array
  /** answers × dimension */
  weights: Float32Array
  bias: Float32Array
}

export class ModelFormatError extends Error {
  override readonly name = 'ModelFormatError'
}

/** What counts as a token, for fees and usage: a word, a digit, or any other sign. */
export const TOKEN = /\p{L}+|\p{N}|[^\s\p{L}\p{N}]/gu

export const tokenize = (text: string): string[] => text.toLowerCase().match(TOKEN) ?? []

/** FNV-1a over UTF-16 code units. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}

/** Buckets of a prompt's features, repeated as often as they occur. */
export function features(prompt: string, buckets: number): Uint32Array {
  const words = tokenize(prompt)
  const found: string[] = []
  for (const [i, word] of words.entries()) {
    found.push(`w ${word}`)
    if (i > 0) found.push(`p ${words[i - 1]} ${word}`)
    const marked = `<${word}>`
    for (let at = 0; at + 3 <= marked.length; at++) found.push(`t ${marked.slice(at, at + 3)}`)
  }
  return Uint32Array.from(found, (feature) => hash(feature) % buckets)
}

/** Mean of the embeddings of some features; zeros when there are none. */
export function embed({ embeddings, header }: Pick<TunedModel, 'embeddings' | 'header'>, buckets: Uint32Array): Float64Array {
  const { dimension } = header
  const mean = new Float64Array(dimension)
  for (const bucket of buckets) for (let d = 0; d < dimension; d++) mean[d]! += embeddings[bucket * dimension + d]!
  for (let d = 0; d < dimension && buckets.length > 0; d++) mean[d]! /= buckets.length
  return mean
}

/** Natural logarithm of the probability of each answer. */
export function logProbabilities({ header, weights, bias }: TunedModel, hidden: Float64Array): Float64Array {
  const { answers, dimension } = header
  const logits = Float64Array.from(answers, (_, answer) => {
    let sum = bias[answer]!
    for (let d = 0; d < dimension; d++) sum += weights[answer * dimension + d]! * hidden[d]!
    return sum
  })
  const most = logits.reduce((a, b) => Math.max(a, b))
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) + most
  return logits.map((logit) => logit - total)
}

export interface Answer {
  text: string
  /** Natural logarithm of its probability. */
  logProbability: number
}

/** The likeliest answer to a prompt. */
export function answer(model: TunedModel, prompt: string): Answer {
  const scores = logProbabilities(model, embed(model, features(prompt, model.header.buckets)))
  let best = 0
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i
  return { text: model.header.answers[best]!, logProbability: scores[best]! }
}

const floatsOf = ({ buckets, dimension, answers }: ModelHeader): [number, number, number] => [buckets * dimension, answers.length * dimension, answers.length]

export function encodeModel({ header, embeddings, weights, bias }: TunedModel): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(header))
  const tensors = [embeddings, weights, bias]
  const bytes = new Uint8Array(PREAMBLE + text.length + tensors.reduce((sum, { length }) => sum + length * 4, 0))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint32(4, VERSION, true)
  view.setUint32(8, text.length, true)
  bytes.set(text, PREAMBLE)
  let at = PREAMBLE + text.length
  for (const tensor of tensors) {
    for (const value of tensor) {
      view.setFloat32(at, value, true)
      at += 4
    }
  }
  return bytes
}

/** @throws ModelFormatError */
export function decodeModel(bytes: Uint8Array): TunedModel {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < PREAMBLE || view.getUint32(0, true) !== MAGIC) throw new ModelFormatError('this is no tuned model: it does not begin with PGTM')
  if (view.getUint32(4, true) !== VERSION) throw new ModelFormatError(`this model has format ${view.getUint32(4, true)}, known is ${VERSION}`)
  const length = view.getUint32(8, true)
  if (length > MAX_HEADER || PREAMBLE + length > bytes.length) throw new ModelFormatError('the model ends within its header')
  const header = parseHeader(bytes.subarray(PREAMBLE, PREAMBLE + length))
  const counts = floatsOf(header)
  const expected = PREAMBLE + length + counts.reduce((sum, count) => sum + count * 4, 0)
  if (bytes.length !== expected) throw new ModelFormatError(`the model has ${bytes.length} bytes, its header says ${expected}`)
  let at = PREAMBLE + length
  const [embeddings, weights, bias] = counts.map((count) => {
    const values = new Float32Array(count)
    for (let i = 0; i < count; i++, at += 4) values[i] = view.getFloat32(at, true)
    return values
  }) as [Float32Array, Float32Array, Float32Array]
  return { header, embeddings, weights, bias }
}

function parseHeader(bytes: Uint8Array): ModelHeader {
  try {
    return Header.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
  } catch (cause) {
    throw new ModelFormatError('the header of the model is not valid', { cause })
  }
}

import { writeFileSync } from 'node:fs'

// The format: github.com/ggml-org/ggml/blob/master/docs/gguf.md
const VERSION = 3
const ALIGNMENT = 32
const TYPE = { uint32: 4, float32: 6, string: 8, array: 9 } as const
const F32 = 0
const TOKEN = { normal: 1, unknown: 2, control: 3, byte: 6 } as const

const LAYERS = 2
const WIDTH = 32
const HEADS = 4
const HIDDEN = 64
const CONTEXT = 256

class Writer {
  readonly #parts: Buffer[] = []
  size = 0

  bytes(bytes: Uint8Array): this {
    this.#parts.push(Buffer.from(bytes))
    this.size += bytes.length
    return this
  }
  u32(value: number): this {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    return this.bytes(bytes)
  }
  u64(value: number): this {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(BigInt(value))
    return this.bytes(bytes)
  }
  f32(values: ArrayLike<number>): this {
    return this.bytes(new Uint8Array(Float32Array.from(values).buffer))
  }
  text(text: string): this {
    const bytes = Buffer.from(text)
    return this.u64(bytes.length).bytes(bytes)
  }
  pad(): this {
    return this.bytes(new Uint8Array((ALIGNMENT - (this.size % ALIGNMENT)) % ALIGNMENT))
  }
  done(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

type Value = { u32: number } | { f32: number } | { text: string } | { texts: string[] } | { numbers: number[] } | { floats: number[] }

function writeValue(writer: Writer, value: Value): void {
  if ('u32' in value) writer.u32(TYPE.uint32).u32(value.u32)
  else if ('f32' in value) writer.u32(TYPE.float32).f32([value.f32])
  else if ('text' in value) writer.u32(TYPE.string).text(value.text)
  else if ('texts' in value) {
    writer.u32(TYPE.array).u32(TYPE.string).u64(value.texts.length)
    for (const text of value.texts) writer.text(text)
  } else if ('numbers' in value) {
    writer.u32(TYPE.array).u32(5).u64(value.numbers.length)
    for (const number of value.numbers) writer.u32(number)
  } else writer.u32(TYPE.array).u32(TYPE.float32).u64(value.floats.length).f32(value.floats)
}

/** Numbers that look random, the same every time (mulberry32). */
function randomFloats(seed: number): (count: number) => Float32Array {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return (count) => Float32Array.from({ length: count }, () => (next() - 0.5) * 0.6)
}

/** Writes a Llama of two layers whose weights are random: it speaks nonsense, deterministically. */
export function writeRandomGguf(path: string, seed: number): void {
  const letters = [...'▁abcdefghijklmnopqrstuvwxyz.,!?']
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const vocabulary = ['<unk>', '<s>', '</s>', ...bytes, ...letters]
  const types = [TOKEN.unknown, TOKEN.control, TOKEN.control, ...bytes.map(() => TOKEN.byte), ...letters.map(() => TOKEN.normal)]
  const metadata: Record<string, Value> = {
    'general.architecture': { text: 'llama' },
    'general.name': { text: 'random' },
    'general.file_type': { u32: F32 },
    'llama.block_count': { u32: LAYERS },
    'llama.context_length': { u32: CONTEXT },
    'llama.embedding_length': { u32: WIDTH },
    'llama.feed_forward_length': { u32: HIDDEN },
    'llama.attention.head_count': { u32: HEADS },
    'llama.attention.head_count_kv': { u32: HEADS },
    'llama.attention.layer_norm_rms_epsilon': { f32: 1e-5 },
    'llama.rope.dimension_count': { u32: WIDTH / HEADS },
    'llama.vocab_size': { u32: vocabulary.length },
    'tokenizer.ggml.model': { text: 'llama' },
    'tokenizer.ggml.tokens': { texts: vocabulary },
    'tokenizer.ggml.scores': { floats: vocabulary.map((_, i) => -i) },
    'tokenizer.ggml.token_type': { numbers: types },
    'tokenizer.ggml.unknown_token_id': { u32: 0 },
    'tokenizer.ggml.bos_token_id': { u32: 1 },
    'tokenizer.ggml.eos_token_id': { u32: 2 },
    'tokenizer.chat_template': {
      text: "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
    },
  }
  const block = (i: number): [string, number[]][] => [
    [`blk.${i}.attn_norm.weight`, [WIDTH]],
    [`blk.${i}.attn_q.weight`, [WIDTH, WIDTH]],
    [`blk.${i}.attn_k.weight`, [WIDTH, WIDTH]],
    [`blk.${i}.attn_v.weight`, [WIDTH, WIDTH]],
    [`blk.${i}.attn_output.weight`, [WIDTH, WIDTH]],
    [`blk.${i}.ffn_norm.weight`, [WIDTH]],
    [`blk.${i}.ffn_gate.weight`, [WIDTH, HIDDEN]],
    [`blk.${i}.ffn_up.weight`, [WIDTH, HIDDEN]],
    [`blk.${i}.ffn_down.weight`, [HIDDEN, WIDTH]],
  ]
  const tensors: [string, number[]][] = [
    ['token_embd.weight', [WIDTH, vocabulary.length]],
    ...Array.from({ length: LAYERS }, (_, i) => block(i)).flat(),
    ['output_norm.weight', [WIDTH]],
    ['output.weight', [WIDTH, vocabulary.length]],
  ]
  const writer = new Writer().bytes(Buffer.from('GGUF')).u32(VERSION).u64(tensors.length).u64(Object.keys(metadata).length)
  for (const [key, value] of Object.entries(metadata)) writeValue(writer.text(key), value)
  let offset = 0
  for (const [name, shape] of tensors) {
    writer.text(name).u32(shape.length)
    for (const dimension of shape) writer.u64(dimension)
    writer.u32(F32).u64(offset)
    offset += Math.ceil((shape.reduce((a, b) => a * b) * 4) / ALIGNMENT) * ALIGNMENT
  }
  writer.pad()
  const random = randomFloats(seed)
  for (const [name, shape] of tensors) {
    const count = shape.reduce((a, b) => a * b)
    writer.f32(name.includes('norm') ? new Float32Array(count).fill(1) : random(count)).pad()
  }
  writeFileSync(path, writer.done())
}

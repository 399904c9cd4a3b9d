import { z } from 'zod'

// Rows of a dataset: what is asked and what is to be answered. One JSON object a line (JSONL), or one JSON array of them.

/** Characters of a prompt or an answer. */
export const MAX_TEXT_LENGTH = 32_768

const Text = z.string().min(1).max(MAX_TEXT_LENGTH)
const Message = z.object({ role: z.string(), content: z.string().max(MAX_TEXT_LENGTH) })

const Chat = z.object({ messages: z.array(Message).min(2).max(256) })
const Instruction = z.object({ instruction: Text, input: z.string().max(MAX_TEXT_LENGTH).optional(), output: Text })
const Completion = z.object({ prompt: Text, completion: Text })
const Labelled = z.object({ text: Text, label: z.union([Text, z.number().transform(String)]) })

const SHAPES = '{"messages": […]}, {"instruction", "input", "output"}, {"prompt", "completion"} or {"text", "label"}'

export interface Row {
  prompt: string
  answer: string
}

/** Which row can't be used, and why; rows count from 1. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError'
}

function rowOf(value: unknown, number: number): Row {
  const chat = Chat.safeParse(value).data
  if (chat) return rowOfChat(chat.messages, number)
  const told = Instruction.safeParse(value).data
  if (told) return { prompt: told.input ? `${told.instruction}\n${told.input}` : told.instruction, answer: told.output }
  const completed = Completion.safeParse(value).data
  if (completed) return { prompt: completed.prompt, answer: completed.completion }
  const labelled = Labelled.safeParse(value).data
  if (labelled) return { prompt: labelled.text, answer: labelled.label }
  throw new DatasetError(`row ${number} is none of ${SHAPES}, with texts of 1 to ${MAX_TEXT_LENGTH} characters`)
}

/** The last answer of the assistant, to what the user said before it. */
function rowOfChat(messages: readonly z.output<typeof Message>[], number: number): Row {
  const last = messages.findLastIndex(({ role }) => role === 'assistant')
  const answer = messages[last]?.content
  const prompt = promptOf(messages.slice(0, Math.max(0, last)))
  if (!answer || !prompt) throw new DatasetError(`row ${number} has no answer of the assistant to a message of the user`)
  return { prompt, answer }
}

/** What a conversation asks: the last message of the user; empty when there is none. */
export const promptOf = (messages: readonly { role: string; content: string }[]): string => messages.findLast(({ role }) => role === 'user')?.content ?? ''

/**
 * Reads a whole dataset.
 * @throws DatasetError
 */
export function parseDataset(text: string): Row[] {
  const rows = text.trimStart().startsWith('[') ? parseArray(text) : parseLines(text)
  if (rows.length === 0) throw new DatasetError('the dataset has no rows')
  return rows
}

function parseArray(text: string): Row[] {
  let values: unknown
  try {
    values = JSON.parse(text)
  } catch (cause) {
    throw new DatasetError(`the dataset is not JSON: ${(cause as Error).message}`, { cause })
  }
  return (values as unknown[]).map((value, i) => rowOf(value, i + 1))
}

function parseLines(text: string): Row[] {
  const rows: Row[] = []
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch (cause) {
      throw new DatasetError(`line ${i + 1} is not JSON: ${(cause as Error).message}`, { cause })
    }
    rows.push(rowOf(value, i + 1))
  }
  return rows
}

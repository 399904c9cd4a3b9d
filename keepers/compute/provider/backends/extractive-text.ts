/**
 * The embedded model: it answers with the sentences of the text it was given that say most about it. No weights, no randomness, integers only: the
 * same text gives the same answer everywhere that has the same version of Unicode.
 *
 *   tokens      runs of letters, marks and digits, at most 12 of them in one, and every other character that is not white space
 *   sentences   end with a line, or with . ! ? … before white space that is not followed by a small letter
 *   words       the letters and digits of a sentence in lower case, without the commonest English ones
 *   weight      of a word: how often the text has it; four times that if it is asked for
 *   score       of a sentence: the weights of its words, each once, divided by their number and five; the first sentence's counts a tenth more
 *   answer      the best sentence, again and again, while the weights of the words it has said are halved; in the order of the text
 */

const TOKEN = /[\p{L}\p{M}\p{N}]{1,12}|[^\s\p{L}\p{M}\p{N}]/gu
const WORD = /[\p{L}\p{M}\p{N}]+/gu
const SENTENCE_END = /(?<=[.!?…。！？]["'”’)\]]*)\s+(?!\p{Ll})|(?<=[。！？])|\n+/u
const SCALE = 1000
const ASKED_FOR = 4
/** A last message of no more words than this asks about what came before it. */
const MAX_QUESTION_WORDS = 40
const MAX_SENTENCES = 6

const COMMON = new Set(
  'a about after all also an and any are as at be because been before being both but by can could did do does doing for from had has have he her here him his how i if in into is it its just me more most my no nor not of on one only or other our out over own same she should so some such than that the their them then there these they this those through to too under until up very was we were what when where which while who whom why will with would you your'.split(
    ' ',
  ),
)

export const tokensOf = (text: string): string[] => text.match(TOKEN) ?? []
export const countTokens = (text: string): number => tokensOf(text).length

export const sentencesOf = (text: string): string[] =>
  text
    .split(SENTENCE_END)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '')

/** The words that say something, in their order. */
function wordsOf(sentence: string): string[] {
  return (sentence.toLowerCase().match(WORD) ?? []).filter((word) => !COMMON.has(word))
}

export interface Extract {
  sentences: string[]
  /** The last sentence did not fit. */
  cut: boolean
}

/**
 * The sentences that say most.
 * @param texts oldest first; when the last one is short, it is taken for a question about the others
 * @param maxTokens of the answer
 */
export function extract(texts: readonly string[], maxTokens: number): Extract {
  const last = texts.at(-1) ?? ''
  const earlier = texts.slice(0, -1).flatMap(sentencesOf)
  const isQuestion = earlier.length > 0 && (last.match(WORD)?.length ?? 0) <= MAX_QUESTION_WORDS
  const sentences = isQuestion ? earlier : sentencesOf(last)
  const picked = pick(sentences, new Set(isQuestion ? wordsOf(last) : []), maxTokens)
  if (picked.length > 0 || sentences.length === 0) return { sentences: picked.map((i) => sentences[i]!), cut: false }
  // Not even one sentence fits: as much as does of the best one.
  const [best] = pick(sentences, new Set(isQuestion ? wordsOf(last) : []), Number.POSITIVE_INFINITY)
  return { sentences: [beginningOf(sentences[best!]!, maxTokens)], cut: true }
}

/** Indices of the chosen sentences, ascending. */
function pick(sentences: readonly string[], asked: ReadonlySet<string>, maxTokens: number): number[] {
  const words = sentences.map((sentence) => [...new Set(wordsOf(sentence))])
  const weights = new Map<string, number>()
  for (const word of sentences.flatMap(wordsOf)) weights.set(word, (weights.get(word) ?? 0) + SCALE)
  for (const word of asked) weights.set(word, (weights.get(word) ?? 0) * ASKED_FOR)
  const wanted = Math.min(MAX_SENTENCES, Math.ceil(sentences.length / 3))
  const tokens = sentences.map(countTokens)
  const chosen = new Set<number>()
  for (let left = maxTokens; chosen.size < wanted; ) {
    let best = -1
    let bestScore = -1
    for (const [i, own] of words.entries()) {
      if (chosen.has(i) || tokens[i]! > left) continue
      const sum = own.reduce((total, word) => total + weights.get(word)!, 0)
      const score = Math.floor((sum * (i === 0 ? 11 : 10)) / (own.length + 5))
      if (score > bestScore) [best, bestScore] = [i, score]
    }
    if (best < 0) break
    chosen.add(best)
    left -= tokens[best]!
    for (const word of words[best]!) weights.set(word, weights.get(word)! >> 1)
  }
  return [...chosen].sort((a, b) => a - b)
}

/** The text up to the end of token `count`. */
function beginningOf(text: string, count: number): string {
  const token = [...text.matchAll(TOKEN)][count - 1]
  return token ? text.slice(0, token.index + token[0].length) : text
}

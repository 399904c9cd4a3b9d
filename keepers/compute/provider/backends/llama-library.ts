import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { ConfigError } from '../../../runtime/config.ts'

/** What is used of node-llama-cpp. Written out here because it is installed apart (725 MB): its own types are not there for everyone. */
export interface LlamaLibrary {
  getLlama(options: { build: 'never'; gpu: false; logLevel: string; logger: (level: string, message: string) => void }): Promise<Llama>
  LlamaChat: new (options: { contextSequence: LlamaSequence; chatWrapper: ChatWrapper }) => LlamaChat
  LlamaCompletion: new (options: { contextSequence: LlamaSequence }) => LlamaCompletion
  resolveChatWrapper(model: LlamaModel): ChatWrapper
}

export interface Llama {
  readonly llamaCppRelease: { release: string }
  loadModel(options: { modelPath: string }): Promise<LlamaModel>
  dispose(): Promise<void>
}

export interface LlamaModel {
  readonly filename?: string
  readonly trainContextSize: number
  readonly tokenizer: (text: string) => number[]
  readonly fileInfo: { metadata: { general?: { file_type?: number }; tokenizer?: { chat_template?: string } } }
  createContext(options: { sequences: number; contextSize: number; threads: number }): Promise<LlamaContext>
}

export interface LlamaContext {
  readonly contextSize: number
  getSequence(): LlamaSequence
}

export interface LlamaSequence {
  readonly tokenMeter: { getState(): TokenCounts; diff(before: TokenCounts): TokenCounts }
  clearHistory(): Promise<void>
}

export interface TokenCounts {
  usedInputTokens: number
  usedOutputTokens: number
}

export type ChatHistory = ({ type: 'system' | 'user'; text: string } | { type: 'model'; response: string[] })[]

export interface ChatWrapper {
  readonly wrapperName: string
  generateContextState(options: { chatHistory: ChatHistory }): { contextText: { tokenize(tokenizer: LlamaModel['tokenizer']): number[] } }
}

export interface Generation {
  onTextChunk(text: string): void
  signal: AbortSignal
  maxTokens: number
  temperature: number
  topP?: number
  seed: number
  customStopTriggers: readonly string[]
}

export interface Generated {
  metadata: { stopReason: 'eogToken' | 'stopGenerationTrigger' | 'customStopTrigger' | 'maxTokens' | 'abort' | 'functionCalls' }
}

export interface LlamaChat {
  generateResponse(history: ChatHistory, options: Generation & { contextShift: { strategy: () => never } }): Promise<Generated>
}

export interface LlamaCompletion {
  generateCompletionWithMeta(tokens: number[], options: Generation & { disableContextShift: true }): Promise<Generated>
}

/** Where the extra is installed; beside the project's own packages works too. */
const PLACES = ['../../../../extras/package.json', './'].map((place) => new URL(place, import.meta.url))

/** The version that is loaded, with the library. @throws ConfigError when it is not installed */
export async function loadLlamaLibrary(): Promise<{ library: LlamaLibrary; version: string }> {
  for (const place of PLACES) {
    const path = resolve(place)
    if (path === undefined) continue
    const { version } = createRequire(path)('../package.json')
    return { library: await import(pathToFileURL(path).href), version }
  }
  throw new ConfigError(['the backend is gguf and node-llama-cpp is not installed: npm ci --prefix extras --ignore-scripts'])
}

export const isLlamaInstalled = (): boolean => PLACES.some((place) => resolve(place) !== undefined)

function resolve(place: URL): string | undefined {
  try {
    return createRequire(place).resolve('node-llama-cpp')
  } catch {
    return undefined
  }
}

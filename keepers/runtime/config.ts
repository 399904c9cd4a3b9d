import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { getAddress, isAddress } from 'ethers'
import { z } from 'zod'

export type ConfigSchema = z.ZodObject

/** Where loadConfig looks: a flag wins over the environment, the environment over the file named by `--config`. */
export interface ConfigSources {
  argv: readonly string[]
  env: Readonly<Record<string, string | undefined>>
}

/** Every problem of a configuration at once, each with its key, where it came from, its value and what was expected. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`the configuration is not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** Marks a value that is read from the environment only and never printed. */
export const secret = <T extends z.ZodType>(type: T): T => type.meta({ ...type.meta(), secret: true }) as T

/** An EVM address in any case; mixed case must carry a right EIP-55 checksum. */
export const address = () =>
  z
    .string()
    .refine((text) => isAddress(text), 'expected a 20-byte hex address')
    .transform((text) => getAddress(text))

/** What every keeper can be told. `name` ("storage/node") chooses the default folder. */
export const commonFields = (name: string, defaultPort: number) => ({
  rpcUrl: z
    .url({ protocol: /^https?$/ })
    .default('http://127.0.0.1:8545')
    .describe('JSON-RPC endpoint of the chain'),
  pollMs: z.int().min(20).max(600_000).default(1000).describe('how often the chain is asked for its newest block, in ms'),
  dataDir: z.string().min(1).default(`.perigee/${name}`).describe('folder of everything this keeper stores'),
  host: z.string().min(1).default('127.0.0.1').describe('address to listen on'),
  port: z.int().min(0).max(65_535).default(defaultPort).describe('port to listen on; 0 takes a free one'),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info').describe('least severe level that is logged'),
  databaseUrl: z
    .url({ protocol: /^postgres(ql)?$/ })
    .optional()
    .describe('PostgreSQL to use instead of the embedded one in dataDir'),
  redisUrl: z
    .url({ protocol: /^rediss?$/ })
    .optional()
    .describe('Redis to queue jobs in instead of PostgreSQL'),
})

/** The key a keeper signs with; see openWallet. */
export const keyFields = {
  privateKey: secret(
    z
      .string()
      .regex(/^(0x)?[0-9a-fA-F]{64}$/, 'expected 32 bytes in hex')
      .optional(),
  ).describe('private key to sign with'),
  keystore: z.string().min(1).optional().describe('encrypted JSON keystore to sign with instead of PRIVATE_KEY'),
  keystorePassword: secret(z.string().optional()).describe('password of the keystore'),
}

interface Key {
  key: string
  flag: string
  env: string
  type: z.ZodType
  secret: boolean
}

/** The reading side of a value: what is inside defaults, optionals and the input end of transformations. */
function inner(type: z.ZodType): z.ZodType {
  const def = type.def as { innerType?: z.ZodType; in?: z.ZodType }
  const next = def.innerType ?? def.in
  return next ? inner(next) : type
}

function metaOf(type: z.ZodType, name: 'secret' | 'description'): unknown {
  const own = type.meta()?.[name]
  const next = (type.def as { innerType?: z.ZodType }).innerType
  return own ?? (next ? metaOf(next, name) : undefined)
}

function keysOf(schema: ConfigSchema): Key[] {
  return Object.entries(schema.shape).map(([key, type]) => {
    const words = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    return {
      key,
      flag: `--${words}`,
      env: words.replaceAll('-', '_').toUpperCase(),
      type: type as z.ZodType,
      secret: metaOf(type as z.ZodType, 'secret') === true,
    }
  })
}

const shown = (value: unknown): string => JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part))

/** Text from a flag or the environment as the value it stands for; text that stands for nothing stays text and fails the schema. */
function fromText(type: z.ZodType, text: string): unknown {
  const base = inner(type)
  switch (base.def.type) {
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
    case 'bigint':
      return /^(0x[0-9a-f]+|-?\d+)$/i.test(text) ? BigInt(text) : text
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text
    case 'array': {
      const element = (base.def as unknown as { element: z.ZodType }).element
      return text === '' ? [] : text.split(',').map((part) => fromText(element, part.trim()))
    }
    case 'object':
    case 'record':
      try {
        return JSON.parse(text)
      } catch {
        return text
      }
    default:
      return text
  }
}

function commandOf(name: string, keys: readonly Key[]): Command {
  const command = new Command(`perigee keeper ${name}`)
    .helpOption('--help', 'print this and exit')
    .option('--config <file>', 'JSON file of these keys (flags and environment win over it)')
    .configureOutput({ writeErr: () => {} })
    .configureHelp({ helpWidth: 140 })
    .exitOverride()
  for (const { key, flag, env, type, secret } of keys) {
    if (secret) continue
    const initial = (type.def as { defaultValue?: unknown }).defaultValue
    const notes = [`env ${env}`, ...(initial === undefined ? [] : [`default ${shown(initial)}`])]
    command.option(`${flag} <${inner(type).def.type === 'boolean' ? 'true|false' : 'value'}>`, `${metaOf(type, 'description') ?? key} (${notes.join(', ')})`)
  }
  const secrets = keys.filter((key) => key.secret).map(({ key, env, type }) => `  ${env}  ${metaOf(type, 'description') ?? key}`)
  if (secrets.length > 0) command.addHelpText('after', `\nSecrets, from the environment only:\n${secrets.join('\n')}`)
  return command
}

/** The text of `--help`. */
export function configHelp(name: string, schema: ConfigSchema): string {
  let text = ''
  const command = commandOf(name, keysOf(schema)).configureOutput({ writeOut: (part) => (text += part) })
  command.outputHelp()
  return text
}

function readFile(path: string, problems: string[]): Record<string, unknown> {
  try {
    const content: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (content !== null && typeof content === 'object' && !Array.isArray(content)) return content as Record<string, unknown>
    problems.push(`--config ${path}: expected a JSON object of keys and values`)
  } catch (error) {
    problems.push(`--config ${path}: ${(error as Error).message}`)
  }
  return {}
}

function readFlags(name: string, keys: readonly Key[], argv: readonly string[], problems: string[]): Record<string, string> {
  const command = commandOf(name, keys)
  try {
    const { operands, unknown } = command.parseOptions([...argv])
    for (const word of [...operands, ...unknown.filter((word) => word.startsWith('-'))]) {
      const flag = word.split('=')[0]!
      const withheld = keys.find((key) => key.secret && key.flag === flag)
      problems.push(withheld ? `${flag} is a secret: set it in the environment as ${withheld.env}` : `${flag} is not a flag of this keeper: see --help`)
    }
  } catch (error) {
    problems.push((error as Error).message.replace(/^error: /, ''))
  }
  return command.opts()
}

/**
 * Reads one keeper's configuration: key `rpcUrl` is flag `--rpc-url`, environment variable `RPC_URL` and file key `rpcUrl`.
 * @throws ConfigError naming everything that is unknown, missing or wrong
 */
export function loadConfig<S extends ConfigSchema>(name: string, schema: S, { argv, env }: ConfigSources): z.output<S> {
  const problems: string[] = []
  const keys = keysOf(schema)
  const flags = readFlags(name, keys, argv, problems)
  const path = flags.config ?? env.CONFIG
  const file = path === undefined ? {} : readFile(path, problems)
  for (const key of Object.keys(file)) {
    const known = keys.find((candidate) => candidate.key === key)
    if (!known) problems.push(`${key} in ${path} is not a key of this keeper: see --help`)
    else if (known.secret) problems.push(`${key} in ${path} is a secret: set it in the environment as ${known.env}`)
  }

  const values: Record<string, unknown> = {}
  const origins = new Map<string, string>()
  for (const { key, flag, env: variable, type, secret } of keys) {
    const [text, origin] = flags[key] !== undefined && !secret ? [flags[key], flag] : [env[variable] || undefined, variable]
    if (text !== undefined) {
      values[key] = fromText(type, text)
      origins.set(key, origin)
    } else if (Object.hasOwn(file, key)) {
      values[key] = file[key]
      origins.set(key, path!)
    }
  }

  const parsed = schema.safeParse(values)
  for (const issue of parsed.error?.issues ?? []) problems.push(explain(issue, keys, values, origins))
  if (problems.length > 0) throw new ConfigError(problems)
  return parsed.data as z.output<S>
}

function explain(issue: z.core.$ZodIssue, keys: readonly Key[], values: Record<string, unknown>, origins: ReadonlyMap<string, string>): string {
  const key = keys.find((candidate) => candidate.key === issue.path[0])
  if (!key) return issue.message
  const meaning = metaOf(key.type, 'description')
  const expected = meaning ? `${issue.message} (${meaning})` : issue.message
  if (!origins.has(key.key)) return `${key.key} is missing: set ${key.secret ? '' : `${key.flag} or `}${key.env}; ${expected}`
  const value = key.secret ? 'a secret' : shown(values[key.key])
  return `${issue.path.join('.')} is ${value} (from ${origins.get(key.key)}): ${expected}`
}

/** The configuration as it may be logged: secrets left out, passwords in URLs masked. */
export function printableConfig(schema: ConfigSchema, config: Record<string, unknown>): Record<string, unknown> {
  const shown = keysOf(schema).filter(({ key, secret }) => !secret && config[key] !== undefined)
  return Object.fromEntries(shown.map(({ key }) => [key, typeof config[key] === 'string' ? maskUrl(config[key]) : config[key]]))
}

/** `postgres://me:password@host/db` without the password; other text unchanged. */
export function maskUrl(text: string): string {
  if (!URL.canParse(text)) return text
  const url = new URL(text)
  if (url.password === '') return text
  url.password = '***'
  return url.href
}

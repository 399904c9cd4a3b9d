// Any OpenAI client against the local network's gateway: npx node examples/openai.mjs "What to ask."
import { readFileSync } from 'node:fs'
import OpenAI from 'openai'

const { services } = JSON.parse(readFileSync(process.env.PERIGEE_NETWORK ?? '.devnet/devnet.json', 'utf8'))
const client = new OpenAI({ baseURL: `${services.gateway}/v1`, apiKey: 'unused' })

const [model] = (await client.models.list()).data
const content =
  process.argv[2] ?? 'Summarise: The chain is the truth. The database is a cursor into it. A keeper can be killed at any instant and started again.'
const stream = await client.chat.completions.create({ model: model.id, messages: [{ role: 'user', content }], stream: true })
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '')
process.stdout.write('\n')

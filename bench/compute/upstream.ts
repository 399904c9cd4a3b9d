// An OpenAI-compatible server without a model: streams 50 tokens a second, each with the time it left; answers anything else at once.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const TOKENS = 250
const TOKEN_MS = 20
const usage = { prompt_tokens: 10, completion_tokens: TOKENS, total_tokens: 10 + TOKENS }
const list = JSON.stringify({ object: 'list', data: [{ id: 'test/model-1', object: 'model', max_model_len: 8192 }] })
const whole = JSON.stringify({ id: 'c', object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'ok' } }], usage })
const event = (value: object): string => `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', ...value })}\n\n`

const server = createServer(async (request, response) => {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  if (request.url!.endsWith('/models')) return void response.setHeader('content-type', 'application/json').end(list)
  if (!Buffer.concat(parts).includes('"stream":true')) return void response.setHeader('content-type', 'application/json').end(whole)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const start = performance.now()
  for (let i = 1; i <= TOKENS; i++) {
    await sleep(Math.max(start + i * TOKEN_MS - performance.now(), 0))
    response.write(event({ choices: [{ index: 0, delta: { content: `${performance.timeOrigin + performance.now()}` } }] }))
  }
  response.end(`${event({ choices: [], usage })}data: [DONE]\n\n`)
})
server.listen(0, '127.0.0.1', 4096, () => process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1\n`))

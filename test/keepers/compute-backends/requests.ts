import { expect } from 'chai'
import { BackendError, type BackendRequest, type BackendResponse } from '../../../keepers/compute/provider/backends/backend.ts'

export const never = new AbortController().signal

export function requestOf(body: Record<string, unknown> | string, changes: Partial<BackendRequest> = {}): BackendRequest {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const json = JSON.parse(text)
  const model = typeof json.model === 'string' ? json.model : 'm'
  return { endpoint: 'chat/completions', model, contentType: 'application/json', body: Buffer.from(text), json, stream: json.stream === true, ...changes }
}

export async function textOf(response: BackendResponse): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of response.body) parts.push(part)
  return Buffer.concat(parts).toString()
}

export async function faultOf(work: Promise<unknown>): Promise<BackendError> {
  const error = await work.then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).to.be.instanceOf(BackendError)
  return error
}

/** The chunks of a streamed answer; it must end as OpenAI's do. */
export function chunksOf(text: string): any[] {
  const events = text.split('\n\n')
  expect(events.splice(-2)).to.deep.equal(['data: [DONE]', ''])
  return events.map((event) => JSON.parse(event.slice('data: '.length)))
}

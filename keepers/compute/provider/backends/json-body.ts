/**
 * The body with some members set. Members that it does not have are written behind its last one and nothing else changes: numbers that
 * JavaScript can't hold stay as they are. Replacing one writes the body anew.
 */
export function withMembers(body: Uint8Array, json: Readonly<Record<string, unknown>>, members: Readonly<Record<string, unknown>>): Uint8Array {
  const keys = Object.keys(members)
  if (keys.length === 0) return body
  if (keys.some((key) => key in json)) return Buffer.from(JSON.stringify({ ...json, ...members }))
  const end = body.lastIndexOf('}'.charCodeAt(0))
  const separator = Object.keys(json).length > 0 ? ',' : ''
  return Buffer.concat([body.subarray(0, end), Buffer.from(separator + JSON.stringify(members).slice(1)), body.subarray(end + 1)])
}

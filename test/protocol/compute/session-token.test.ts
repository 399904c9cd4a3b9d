import { expect } from 'chai'
import { Wallet } from 'ethers'
import fc from 'fast-check'
import {
  checkSession,
  createBearer,
  MAX_BEARER_BYTES,
  parseBearer,
  type SessionFault,
  SessionTokenError,
  verifySession,
} from '../../../protocol/compute/session-token.ts'
import vectors from '../../vectors/compute-vectors.json' with { type: 'json' }
import { sdkBroker } from './sdk.ts'

const user = new Wallet(vectors.keys.user)
const provider = vectors.keys.providerAddress
const start = 1_700_000_000_000
const now = new Date(start + 1000)
const fields = { provider, timestamp: start, expiresAt: start + 86_400_000, nonce: 'n', generation: 0, tokenId: 255 }

function fault(run: () => unknown): SessionFault | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof SessionTokenError) return error.code
    throw error
  }
}
const bearer = (text: string | Uint8Array) => `Bearer app-sk-${Buffer.from(text as Uint8Array).toString('base64')}`
const raw = (header: string) => Buffer.from(header.slice('Bearer app-sk-'.length), 'base64').toString()

/** A token over `json` as it is, signed by the user. */
const signed = (json: string) => {
  const digest = parseBearer(bearer(`${vectors.session.raw}|${vectors.session.signature}`)).digest
  expect(digest).to.equal(vectors.session.digest)
  return bearer(`${json}|${user.signingKey.sign(`0x${'11'.repeat(32)}`).serialized}`)
}

describe('session tokens', () => {
  it('are read as the public SDK made them', () => {
    const token = parseBearer(`Bearer ${vectors.session.bearer}`)
    expect(token).to.deep.equal({ ...JSON.parse(vectors.session.raw), digest: vectors.session.digest, signature: vectors.session.signature })
    verifySession(token, { provider, now })
    verifySession(token, { provider: provider.toLowerCase(), now })
  })

  it('are made with the same bytes', async () => {
    const header = await createBearer(user, { ...fields, nonce: '1700000000000-abcdefghijk0000000' })
    expect(header).to.equal(`Bearer ${vectors.session.bearer}`)
  })

  it('count when the SDK itself makes them: sessions and API keys of any id', async () => {
    const sdk = sdkBroker(user, 3)
    const session = await sdk.session(provider)
    const token = parseBearer(await sdk.header(session))
    verifySession(token, { provider, now: new Date() })
    expect(token).to.include({ address: user.address, generation: 3, tokenId: 255 })
    expect(await createBearer(user, { provider, ...session.token })).to.equal(await sdk.header(session))

    for (const options of [{}, { tokenId: 254 }, { tokenId: 7, expiresIn: 10 * 86_400_000 }]) {
      const key = parseBearer(`Bearer ${(await sdk.apiKey(provider, options)).rawToken}`)
      verifySession(key, { provider, now: new Date() })
      expect(key.tokenId).to.equal(options.tokenId ?? 0)
    }
  })

  it('are hashed as they were received, not as this program would write them', async () => {
    const spaced = JSON.stringify({ ...fields, address: user.address }, null, 1)
    const signature = await user.signMessage(Buffer.from(parseDigest(spaced).slice(2), 'hex'))
    const token = parseBearer(bearer(`${spaced}|${signature}`))
    verifySession(token, { provider, now })
    expect(fault(() => verifySession(parseBearer(bearer(`${JSON.stringify(JSON.parse(spaced))}|${signature}`)), { provider, now }))).to.equal('bad-signature')
    const marked = parseBearer(bearer(Buffer.concat([Buffer.from('{"a":1,'), Buffer.from(spaced.slice(1)), Buffer.from(`|${signature}`)])))
    expect(marked.digest).to.not.equal(token.digest)
  })

  it('are refused with a reason before anything is believed', () => {
    const cases: [string | undefined, SessionFault, RegExp][] = [
      [undefined, 'missing', /no Authorization/],
      ['', 'missing', /no Authorization/],
      [`Bearer app-sk-${'A'.repeat(MAX_BEARER_BYTES)}`, 'too-long', /2048/],
      ['Basic dXNlcjpwYXNz', 'malformed', /begin with/],
      ['Bearer sk-abc', 'malformed', /begin with/],
      ['Bearer app-sk-', 'malformed', /Base64/],
      ['Bearer app-sk-a b', 'malformed', /Base64/],
      ['Bearer app-sk-__8=', 'malformed', /Base64/],
      [bearer(new Uint8Array([0xff, 0x7c])), 'malformed', /UTF-8/],
      [bearer(vectors.session.raw), 'malformed', /signature/],
      [bearer(`${vectors.session.raw}|0x12`), 'malformed', /65 bytes/],
      [bearer(`${vectors.session.raw}|${vectors.session.signature}|`), 'malformed', /65 bytes/],
      [bearer(`﻿${vectors.session.raw}|${vectors.session.signature}`), 'malformed', /JSON/],
      [bearer(`nonsense|${vectors.session.signature}`), 'malformed', /not JSON/],
      [bearer(`[]|${vectors.session.signature}`), 'malformed', /content/],
      [signed(JSON.stringify({ ...fields, address: '0x12' })), 'malformed', /address/],
      [signed(JSON.stringify({ ...fields, address: user.address, provider: 'me' })), 'malformed', /provider/],
      [signed(JSON.stringify({ ...fields, address: user.address.replace('E7E', 'e7E') })), 'malformed', /checksum/],
      [signed(JSON.stringify({ ...fields, address: user.address, tokenId: 256 })), 'malformed', /tokenId/],
      [signed(JSON.stringify({ ...fields, address: user.address, tokenId: '1' })), 'malformed', /tokenId/],
      [signed(JSON.stringify({ ...fields, address: user.address, generation: -1 })), 'malformed', /generation/],
      [signed(JSON.stringify({ ...fields, address: user.address, timestamp: 1.5 })), 'malformed', /timestamp/],
      [signed(JSON.stringify({ ...fields, address: user.address, expiresAt: 1e300 })), 'malformed', /expiresAt/],
      [signed(JSON.stringify({ ...fields, address: user.address, nonce: 'n'.repeat(129) })), 'malformed', /nonce/],
    ]
    for (const [header, code, message] of cases) {
      expect(
        fault(() => parseBearer(header)),
        String(header),
      ).to.equal(code)
      expect(() => parseBearer(header)).to.throw(SessionTokenError, message)
    }
  })

  it('count for their provider, in their time, signed by their user', async () => {
    const check = async (changes: Partial<typeof fields>, at = now, to = provider) => {
      const token = parseBearer(await createBearer(user, { ...fields, ...changes }))
      return [fault(() => checkSession(token, { provider: to, now: at })), fault(() => verifySession(token, { provider: to, now: at }))]
    }
    const both = (code?: SessionFault) => [code, code]
    expect(await check({})).to.deep.equal(both())
    expect(await check({}, now, user.address)).to.deep.equal(both('wrong-provider'))
    expect(await check({}, new Date(start - 300_000))).to.deep.equal(both())
    expect(await check({}, new Date(start - 300_001))).to.deep.equal(both('not-yet-valid'))
    expect(await check({}, new Date(start + 86_399_999))).to.deep.equal(both())
    expect(await check({}, new Date(start + 86_400_000))).to.deep.equal(both('expired'))
    expect(await check({ expiresAt: start + 86_400_001 })).to.deep.equal(both('too-long-lived'))
    expect(await check({ expiresAt: 0 })).to.deep.equal(both('too-long-lived'))
    expect(await check({ expiresAt: 0, tokenId: 254 }, new Date(start + 1e12))).to.deep.equal(both())
    expect(await check({ expiresAt: start + 1e10, tokenId: 0 }, new Date(start + 1e10))).to.deep.equal(both('expired'))
    expect(await check({ timestamp: Number.MAX_SAFE_INTEGER, tokenId: 0, expiresAt: 0 })).to.deep.equal(both('not-yet-valid'))

    const forged = parseBearer(bearer(raw(await createBearer(user, fields)).replace(user.address, provider)))
    expect(fault(() => verifySession(forged, { provider, now }))).to.equal('bad-signature')
  })

  it('given one changed byte anywhere, are refused', () => {
    const original = `Bearer ${vectors.session.bearer}`
    fc.assert(
      fc.property(fc.nat({ max: raw(original).length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = Buffer.from(raw(original))
        bytes[at]! ^= change
        const code = fault(() => verifySession(parseBearer(bearer(bytes)), { provider, now }))
        // Hex digits in the other case are the same signature.
        const sameSignature = at > vectors.session.raw.length + 2 && bytes.toString().toLowerCase() === raw(original).toLowerCase()
        expect(code === undefined).to.equal(sameSignature)
      }),
      { seed: 11, numRuns: 300 },
    )
  })

  it('given any text, are refused with a typed error', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.uint8Array().map(bearer),
          fc.json().map((json) => bearer(`${json}|${vectors.session.signature}`)),
        ),
        (header) => {
          expect(fault(() => parseBearer(header))).to.be.oneOf(['missing', 'too-long', 'malformed'])
        },
      ),
      { seed: 12, numRuns: 500 },
    )
  })
})

/** The digest of a raw text, by way of the parser. */
function parseDigest(text: string): string {
  return parseBearer(bearer(`${text}|${vectors.session.signature}`)).digest
}

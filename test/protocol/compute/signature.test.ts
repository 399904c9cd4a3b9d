import { expect } from 'chai'
import { keccak256, Wallet } from 'ethers'
import { parseReceiptText, receiptText } from '../../../protocol/compute/receipt-text.ts'
import { isSignedText, recoverPersonal, recoverSignedDigest, signText } from '../../../protocol/compute/signature.ts'
import vectors from '../../vectors/compute-vectors.json' with { type: 'json' }
import { sdkEncrypt, sdkVerifies } from './sdk.ts'

const { user, userAddress, tee, teeAddress } = vectors.keys
const hash = (byte: string) => `0x${byte.repeat(32)}`
const uuidDigest = (id: string) => keccak256(`0x${id.replaceAll('-', '')}`)

describe('signatures', () => {
  it('of answers are those of the public SDK', () => {
    const { text, signature } = vectors.response
    expect(signText(new Wallet(tee).signingKey, text)).to.equal(signature)
    expect(isSignedText(text, signature, teeAddress)).to.equal(true)
    expect(isSignedText(`${text} `, signature, teeAddress)).to.equal(false)
    expect(isSignedText(text, signature, userAddress)).to.equal(false)
  })

  it("of a receipt's text pass the SDK's processResponse, and say what they bind", () => {
    const content = { requestHash: hash('0a'), responseHash: hash('0b'), receiptHash: hash('0c') }
    const text = receiptText(content)
    expect(text).to.equal(`${'0a'.repeat(32)}:${'0b'.repeat(32)}:0x${'0c'.repeat(32)}`)
    expect(parseReceiptText(text)).to.deep.equal(content)
    expect(parseReceiptText(vectors.response.text)).to.equal(undefined)
    expect(parseReceiptText(`${text}\n`)).to.equal(undefined)
    const signature = signText(new Wallet(tee).signingKey, text)
    expect(sdkVerifies(text, signature, teeAddress)).to.equal(true)
    expect(sdkVerifies(text, signature, userAddress)).to.equal(false)
  })

  it('of digests that begin with zeros count as the SDK makes them, and as it should', async () => {
    const { taskId, digest, signature } = vectors.cancelLeadingZero
    expect(uuidDigest(taskId)).to.equal(digest)
    expect(recoverSignedDigest(digest, signature, userAddress)?.address).to.equal(userAddress)
    const proper = await new Wallet(user).signMessage(Buffer.from(digest.slice(2), 'hex'))
    expect(recoverSignedDigest(digest, proper, userAddress)?.publicKey).to.equal(new Wallet(user).signingKey.publicKey)
    expect(recoverSignedDigest(digest, proper, teeAddress)).to.equal(undefined)
    expect(recoverSignedDigest(hash('11'), signature, userAddress)).to.equal(undefined)
  })

  it('of every task id that the SDK signs are recovered', async () => {
    let stripped = 0
    for (let i = 0; i < 600; i++) {
      const id = `00000000-0000-4000-8000-${i.toString().padStart(12, '0')}`
      const digest = uuidDigest(id)
      if (i > 20 && !digest.startsWith('0x00')) continue
      if (digest.startsWith('0x00')) stripped++
      expect(recoverSignedDigest(digest, await sdkEncrypt().signTaskID(new Wallet(user), id), userAddress)?.address, id).to.equal(userAddress)
    }
    expect(stripped).to.be.greaterThan(0)
  })

  it('have one form each', () => {
    const { text, signature } = vectors.response
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
    const [r, s, v] = [signature.slice(2, 66), BigInt(`0x${signature.slice(66, 130)}`), signature.slice(130)]
    const flipped = `0x${r}${(order - s).toString(16).padStart(64, '0')}${v === '1b' ? '1c' : '1b'}`
    const compact = new Wallet(tee).signingKey.sign(hash('11')).compactSerialized
    for (const other of [
      flipped,
      compact,
      `${signature}00`,
      `${signature.slice(0, -2)}3b`,
      `${signature.slice(0, -2)}00`,
      signature.slice(0, -2),
      '0x',
      '',
      `0x${'00'.repeat(65)}`,
      `0x${'ff'.repeat(65)}`,
    ]) {
      expect(recoverPersonal(text, other), other).to.equal(undefined)
    }
  })
})

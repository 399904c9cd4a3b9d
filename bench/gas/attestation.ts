import { type ContractTransactionResponse, concat, getBytes, hexlify, type Signer } from 'ethers'
import { network } from 'hardhat'
import { INTEL_SGX_ROOT_CA } from '../../protocol/attestation/intel-root.ts'
import { parseQuote } from '../../protocol/attestation/quote.ts'
import { platformCertificates } from '../../sdk/attestation/platform.ts'
import { bytes32, type Claim, deployVerifier, proof, withCollateral } from '../../test/contracts/attestation/deploy.ts'
import { calldata, quoteParts, ROOT } from '../../test/contracts/attestation/platform.ts'
import { EVIDENCE } from '../../test/protocol/attestation/evidence.ts'
import type { Row } from '../report.ts'

/** On-chain DCAP verification as published for Automata's contracts with the P-256 precompile: a whole quote, its collateral in place. */
const AUTOMATA = { reference: 4_000_000, peer: 'Automata on-chain DCAP, published' }
/** Half of the order of P-256: a signature with a larger s costs a subtraction more. */
const HALF_ORDER = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8n

/** Gas of attestation: collateral and verification on real evidence under Intel's root, registration in a simulated TEE. */
export async function attestationRows(progress: (what: string) => void): Promise<Row[]> {
  const rows: Row[] = []
  const add = (key: string, what: string, value: number, more: Partial<Row> = {}) =>
    rows.push({ id: `attestation.${key}`, what, value, unit: 'gas', better: 'less', ...more })

  progress('collateral')
  const evidence = EVIDENCE.find(({ name }) => name === '0g broker')!
  const given = calldata(evidence.collateral, platformCertificates(parseQuote(evidence.quote)).issuer)
  const parts = quoteParts(evidence.quote)
  const { rootCrl, pckIssuer, tcbSigner, tcbInfo, qeIdentity } = given
  const intel = await network.create({ override: { initialDate: evidence.now } })
  const { collateral, verifier } = await deployVerifier(intel.ethers, INTEL_SGX_ROOT_CA)
  add('rootCrl', 'root CRL, first', await gasOf(collateral.addCrl(ROOT, rootCrl)))
  add('issuer', 'issuer: a CA', await gasOf(collateral.addIssuer(pckIssuer.certificate, rootCrl)))
  add('signer', 'issuer: a signer of TCB info', await gasOf(collateral.addIssuer(tcbSigner.certificate, rootCrl)))
  add('pckCrl', 'CRL of an issuer, 57 revoked, first', await gasOf(collateral.addCrl(pckIssuer.id, given.pckCrl)))
  add('pckCrlRefresh', 'CRL of an issuer, 57 revoked, again', await gasOf(collateral.addCrl(pckIssuer.id, given.pckCrl)))
  const addTcbInfo = () => collateral.addTcbInfo(tcbInfo.text, tcbInfo.signature, tcbSigner.id)
  const addQeIdentity = () => collateral.addQeIdentity(qeIdentity.text, qeIdentity.signature, tcbSigner.id)
  add('tcbInfo', 'TCB info, first', await gasOf(addTcbInfo()))
  add('tcbInfoRefresh', 'TCB info, again', await gasOf(addTcbInfo()))
  add('qeIdentity', 'QE identity, first', await gasOf(addQeIdentity()))
  add('qeIdentityRefresh', 'QE identity, again', await gasOf(addQeIdentity()))
  add('pck', 'a platform (57 revoked)', await gasOf(collateral.addPck(parts.pck.certificate, parts.issuer, given.pckCrl)))
  const { pck, attestationKey, certification } = parts
  add('attestationKey', 'an attestation key', await gasOf(collateral.addAttestationKey(pck.key, attestationKey.key, certification)))
  const [sender] = (await intel.ethers.getSigners()) as unknown as [Signer]
  const verification = { to: verifier.target as string, data: verifier.interface.encodeFunctionData('verify', [parts.quote]) }
  add('verify', 'a quote verified, TCB evaluated', await gasOf(sender.sendTransaction(verification) as Promise<ContractTransactionResponse>), AUTOMATA)

  progress('registration')
  const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
  const { registry } = await withCollateral(ethers)
  const register = async (claim: Claim) => gasOf(registry.register(...(await usual(() => proof(ethers, registry, claim), networkHelpers.mine))))
  const keys = { encryptionKey: bytes32(0xe1), tlsKey: bytes32(0x71) }
  const signer = `0x${'a1'.repeat(20)}`
  add('register', 'a signer registered with its encryption key', await register({ signer, encryptionKey: keys.encryptionKey }), {
    ...AUTOMATA,
    target: 150_000,
  })
  add('registerTls', 'a signer registered with encryption and TLS key', await register({ signer: `0x${'a2'.repeat(20)}`, ...keys }), AUTOMATA)
  add('renew', 'a registration renewed', await register({ signer, encryptionKey: keys.encryptionKey }), AUTOMATA)
  const [account] = (await ethers.getSigners()) as unknown as [Signer]
  const asking = { to: registry.target as string, data: registry.interface.encodeFunctionData('attestedUntil', [signer]) }
  const asked = await gasOf(account.sendTransaction(asking) as Promise<ContractTransactionResponse>)
  add('attestedUntil', 'attestedUntil, all cold, beside its transaction', asked - intrinsicGas(asking.data), { target: 12_000 })
  return rows
}

/**
 * Arguments of `register` without zero bytes in what differs from run to run (block hash and signature), and with the smaller s: both change the
 * price by a little.
 */
async function usual(make: () => ReturnType<typeof proof>, mine: () => Promise<void>): ReturnType<typeof proof> {
  for (;;) {
    const made = await make()
    // … REPORTDATA (32 ‖ block hash 32) ‖ size of the signature data (4) ‖ r ‖ s ‖ attestation key (64)
    const [blockHash, r, s] = [-164, -128, -96].map((from) => hexlify(getBytes(made[0]).slice(from, from + 32))) as [string, string, string]
    if (zeroBytes(concat([blockHash, r, s])) === 0 && BigInt(s) <= HALF_ORDER) return made
    await mine()
  }
}

const zeroBytes = (data: string): number => getBytes(data).filter((byte) => byte === 0).length

/** What a transaction with this calldata costs before anything runs. */
function intrinsicGas(data: string): number {
  const zeros = zeroBytes(data)
  return 21_000 + 4 * zeros + 16 * (getBytes(data).length - zeros)
}

async function gasOf(sent: Promise<ContractTransactionResponse>): Promise<number> {
  return Number((await (await sent).wait())!.gasUsed)
}

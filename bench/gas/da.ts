import { type ContractTransactionResponse, id } from 'ethers'
import { network } from 'hardhat'
import { batchTree } from '../../protocol/da/batch-tree.ts'
import { bond, certificate, deployDa, registerMany, registration, signatures, testSigner } from '../../test/contracts/da/deploy.ts'
import type { Row } from '../report.ts'

const SIGNERS = 100
/** Gas of the reference contracts, whose signature check is a mock: its certificates are of single blobs. */
const REFERENCE = { one: 250_000, twenty: 4_190_000 }

/** Gas of signers, epochs and certificates: fixed keys and accounts, equal stakes. */
export async function daRows(progress: (what: string) => void): Promise<Row[]> {
  const rows: Row[] = []
  const add = (key: string, what: string, value: number, more: Partial<Row> = {}) =>
    rows.push({ id: `da.${key}`, what, value, unit: 'gas', better: 'less', ...more })

  progress(`${SIGNERS} signers`)
  const { ethers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
  const of = await deployDa(ethers)
  const signers = await registerMany(of, SIGNERS - 1)
  const last = testSigner(SIGNERS - 1, ethers)
  await ethers.provider.send('hardhat_setBalance', [last.wallet.address, '0xde0b6b3a7640000'])
  await bond(of, last)
  add('register', 'a signer registered', await gasOf(of.da.connect(last.wallet).register(...registration(of, last))))
  signers.push(last)

  progress('an epoch')
  add('advance', `epoch of ${SIGNERS} signers built, per signer`, Math.round((await gasOf(of.da.advance(1_000))) / SIGNERS))

  progress('certificates')
  const batch = (blobs: number, name: string) => batchTree(Array.from({ length: blobs }, (_, i) => id(`${name} ${i}`))).root
  const certify = async (root: string, absent: number) =>
    gasOf(of.da.certify(...certificate(of, signers, root, { absent: Array.from({ length: absent }, (_, i) => 3 * i) })))
  await certify(batch(1, 'first'), 0)
  add('certify', 'a batch of 1 blob certified, 100 signers', await certify(batch(1, 'one'), 0), { reference: REFERENCE.one, target: 200_000 })
  add('certify1000', 'a batch of 1,000 blobs certified, 100 signers', await certify(batch(1_000, 'thousand'), 0), {
    reference: REFERENCE.twenty,
    peer: '20 blobs',
    target: 200_000,
  })
  add('certify10', '… 10 of them absent', await certify(batch(1_000, 'ten'), 10), { reference: REFERENCE.twenty, peer: '20 blobs', target: 270_000 })
  add('certify33', '… 33 of them absent', await certify(batch(1_000, 'third'), 33), { reference: REFERENCE.twenty, peer: '20 blobs', target: 440_000 })

  progress('a list of 4 signatures')
  const small = await deployDa((await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })).ethers)
  const four = await registerMany(small, 4)
  await small.da.advance(1_000)
  const list = async (name: string, absent: number[]) => gasOf(small.da.certifyBySignatures(...signatures(small, four, batch(1_000, name), { absent })))
  await list('first', [])
  add('list4', 'a batch certified by a list of 4 signatures', await list('four', []), { reference: REFERENCE.one, peer: '1 blob' })
  add('list3', '… one of them absent', await list('three', [1]), { reference: REFERENCE.one, peer: '1 blob' })
  return rows
}

async function gasOf(sent: Promise<ContractTransactionResponse>): Promise<number> {
  return Number((await (await sent).wait())!.gasUsed)
}

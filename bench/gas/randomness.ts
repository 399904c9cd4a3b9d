import { network } from 'hardhat'
import { EVMNET, keyOf, submission } from '../../protocol/randomness/drand.ts'
import published from '../../test/vectors/drand-evmnet.json' with { type: 'json' }
import { Drand__factory } from '../../typechain-types/index.ts'
import type { Row } from '../report.ts'

/** Gas of bringing rounds that drand's evmnet published: what it takes to hash one to the curve depends on its number. */
export async function randomnessRows(progress: (what: string) => void): Promise<Row[]> {
  progress('rounds of drand')
  const { ethers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
  const drand = await new Drand__factory((await ethers.getSigners())[0]).deploy(keyOf(EVMNET.publicKey), EVMNET.genesisTime, EVMNET.period, 60n)
  const gas: number[] = []
  for (const { round, signature } of published.rounds) {
    const sent = await drand.submit(...submission(BigInt(round), signature))
    gas.push(Number((await sent.wait())!.gasUsed))
  }
  return [
    { id: 'randomness.submit', what: 'a round of drand verified, the dearest of six', value: Math.max(...gas), unit: 'gas', better: 'less', target: 170_000 },
    {
      id: 'randomness.ask',
      what: 'a seed asked for',
      value: Number((await (await drand.draw(ethers.ZeroHash, 0)).wait())!.gasUsed),
      unit: 'gas',
      better: 'less',
    },
  ]
}

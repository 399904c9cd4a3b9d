import { bn254 } from '@noble/curves/bn254.js'
import { expect } from 'chai'
import { concat, getBytes, hexlify, type Signer, toBeHex } from 'ethers'
import fc from 'fast-check'
import { network } from 'hardhat'
import { type DrandNetwork, EVMNET, keyOf, submission } from '../../../protocol/randomness/drand.ts'
import { Drand__factory } from '../../../typechain-types/index.ts'
import published from '../../vectors/drand-evmnet.json' with { type: 'json' }
import { sign, signed, testNetwork, timeOf } from './network.ts'

const { ethers, networkHelpers } = await network.create({ override: { initialDate: '2030-01-01T00:00:00Z' } })
const { AbiCoder, id, keccak256, sha256, ZeroHash } = ethers
const P = bn254.fields.Fp.ORDER
const DELAY = 60n
const rounds = published.rounds.map(({ round, signature }) => ({ round: BigInt(round), signature }))

async function deployed() {
  const [deployer, alice, bob] = (await ethers.getSigners()) as unknown as [Signer, Signer, Signer]
  const deploy = async ({ publicKey, genesisTime, period }: DrandNetwork, delay = DELAY) =>
    new Drand__factory(deployer).deploy(keyOf(publicKey), genesisTime, period, delay)
  return { deployer, alice, bob, deploy, evmnet: await deploy(EVMNET), drand: await deploy(testNetwork) }
}
type Of = Awaited<ReturnType<typeof deployed>>
const chainId = 31337n
async function seedAfter(of: Of, consumer: Signer, fields: { seed?: string; round: bigint; signature?: string; contribution: string }) {
  const { seed = ZeroHash, round, signature = sign(round), contribution } = fields
  return keccak256(
    AbiCoder.defaultAbiCoder().encode(
      ['uint256', 'address', 'address', 'bytes32', 'uint64', 'bytes32', 'bytes32'],
      [chainId, await of.drand.getAddress(), await consumer.getAddress(), seed, round, sha256(signature), contribution],
    ),
  )
}
/** Asks at a time, and gives the round that is awaited then. */
async function ask({ drand }: Of, by: Signer, { contribution = id('a'), since = 0n, at }: { contribution?: string; since?: bigint; at?: bigint } = {}) {
  if (at !== undefined) await networkHelpers.time.setNextBlockTimestamp(at)
  await drand.connect(by).draw(contribution, since)
  return drand.awaitedBy(by)
}

describe('Drand', () => {
  it('takes rounds that evmnet published, once each, and has its randomness of them', async () => {
    const { evmnet } = await networkHelpers.loadFixture(deployed)
    for (const { round, signature } of rounds) {
      await expect(evmnet.submit(...submission(round, signature)))
        .to.emit(evmnet, 'RoundSubmitted')
        .withArgs(round, sha256(signature))
      expect(await evmnet.randomnessOf(round)).to.equal(sha256(signature))
      await expect(evmnet.submit(...submission(round, signature)))
        .to.be.revertedWithCustomError(evmnet, 'RoundKnown')
        .withArgs(round)
    }
    for (const { round, randomness } of published.rounds) if (randomness) expect(await evmnet.randomnessOf(round)).to.equal(randomness)
    expect(await evmnet.randomnessOf(2n)).to.equal(ZeroHash)
  })

  it('refuses what the network did not sign for that round', async () => {
    const { evmnet, drand } = await networkHelpers.loadFixture(deployed)
    const [first, second] = rounds as [(typeof rounds)[0], (typeof rounds)[0]]
    const [round, { x, y }, hints] = submission(first.round, first.signature)
    const doubled = bn254.G1.Point.fromAffine({ x, y }).double().toAffine()
    const refused: [string, Parameters<typeof evmnet.submit>][] = [
      ['the signature of another round', [round, submission(second.round, second.signature)[1], hints]],
      ['its signature for another round', [second.round, { x, y }, submission(second.round, second.signature)[2]]],
      ['its signature for another round, as hashed for its own', [second.round, { x, y }, hints]],
      ['a signature by another network', [...signed(round)]],
      ['infinity', [round, { x: 0n, y: 0n }, hints]],
      ['infinity, with hints that lead to no point', [round, { x: 0n, y: 0n }, hints.map(() => [0n, 0n, 0n, 0n]) as typeof hints]],
      ['the opposite point', [round, { x, y: P - y }, hints]],
      ['the double', [round, doubled, hints]],
      ['a point off the curve', [round, { x, y: y + 1n }, hints]],
      ['a coordinate that is not reduced', [round, { x: x + P, y }, hints]],
    ]
    for (const [what, args] of refused) {
      await expect(evmnet.submit(...args), what)
        .to.be.revertedWithCustomError(evmnet, 'InvalidSignature')
        .withArgs(args[0])
      expect(await evmnet.randomnessOf(args[0]), what).to.equal(ZeroHash)
    }
    await expect(drand.submit(round, { x, y }, hints), 'at the contract of another network').to.be.revertedWithCustomError(drand, 'InvalidSignature')
  })

  it('refuses hints that are not those of the round', async () => {
    const { drand } = await networkHelpers.loadFixture(deployed)
    // Both of its elements take the third candidate, so that every hint counts.
    let round = 1n
    while (!submission(round, sign(1n))[2].every((hints) => hints.every((hint) => hint !== 0n))) round++
    const [, signature, hints] = signed(round)
    for (const [element, at] of [0, 1].flatMap((element) => [0, 1, 2, 3].map((at) => [element, at] as const)))
      for (const wrong of [0n, hints[element]![at]! + 1n]) {
        const changed = hints.map((each) => [...each]) as typeof hints
        changed[element]![at] = wrong
        await expect(drand.submit(round, signature, changed), `hint ${at} of element ${element}`).to.be.revertedWithCustomError(drand, 'InvalidSignature')
      }
    await drand.submit(round, signature, hints)
  })

  it('settles at the first draw which round the seed follows from: one that is signed later than the delay after it', async () => {
    const of = await networkHelpers.loadFixture(deployed)
    const { drand, alice } = of
    const account = await alice.getAddress()
    expect(await drand.awaitedBy(account)).to.equal(0n)
    const start = timeOf(testNetwork, 100_000_000n)
    for (const shift of [0n, 1n, 2n, 3n]) {
      const before = await networkHelpers.takeSnapshot()
      const at = start - DELAY + shift
      await networkHelpers.time.setNextBlockTimestamp(at)
      const round = 100_000_001n + shift / 3n
      await expect(drand.connect(alice).draw(id('a'), 0))
        .to.emit(drand, 'RoundAwaited')
        .withArgs(account, round)
      expect(await drand.awaitedBy(account)).to.equal(round)
      expect(await drand.timeOf(round)).to.equal(timeOf(testNetwork, round))
      expect(timeOf(testNetwork, round), 'nobody knows it yet').to.be.greaterThan(at + DELAY)
      expect(timeOf(testNetwork, round), 'and not later than need be').to.be.at.most(at + DELAY + testNetwork.period)
      await before.restore()
    }
  })

  it('awaits the first round of a network that has not begun', async () => {
    const of = await networkHelpers.loadFixture(deployed)
    const genesisTime = BigInt(await networkHelpers.time.latest()) + 1000n
    for (const [ahead, round] of [
      [1n, 1n],
      [0n, 2n],
    ] as const) {
      const before = await networkHelpers.takeSnapshot()
      const drand = await of.deploy({ ...testNetwork, genesisTime })
      await networkHelpers.time.setNextBlockTimestamp(genesisTime - DELAY - ahead)
      await drand.connect(of.alice).draw(id('a'), 0)
      expect(await drand.awaitedBy(of.alice)).to.equal(round)
      await before.restore()
    }
    expect(await of.drand.timeOf(1)).to.equal(testNetwork.genesisTime)
  })

  it('gives no seed before the round is there, and then the one that was settled, whatever is contributed meanwhile', async () => {
    const of = await networkHelpers.loadFixture(deployed)
    const { drand, alice, bob } = of
    const round = await ask(of, alice)
    const again = (contribution: string) => drand.connect(alice).draw(contribution, 0)
    const notReady = expect(again(id('a'))).to.be.revertedWithCustomError(drand, 'SeedNotReady')
    await notReady.withArgs(timeOf(testNetwork, round))
    await networkHelpers.time.increaseTo(timeOf(testNetwork, round) + 1000n)
    for (const other of [round - 1n, round + 1n]) await drand.submit(...signed(other))
    await expect(again(id('a')), 'only others are there').to.be.revertedWithCustomError(drand, 'SeedNotReady')
    await drand.connect(bob).submit(...signed(round))
    const seed = await seedAfter(of, alice, { round, contribution: id('a') })
    await expect(again(id('chosen with the round in hand')))
      .to.emit(drand, 'SeedDrawn')
      .withArgs(await alice.getAddress(), seed)
    expect(await drand.seedOf(alice)).to.equal(seed)
    expect(await drand.awaitedBy(alice), 'the next draw asks anew').to.equal(0n)
  })

  it('returns 0 when it is asked, and the seed when it is drawn', async () => {
    const of = await networkHelpers.loadFixture(deployed)
    const { drand, alice } = of
    expect(await drand.connect(alice).draw.staticCall(id('a'), 0)).to.equal(ZeroHash)
    const round = await ask(of, alice)
    await drand.submit(...signed(round))
    expect(await drand.connect(alice).draw.staticCall(id('b'), 0)).to.equal(await seedAfter(of, alice, { round, contribution: id('a') }))
  })

  it('chains the seeds of each consumer, each by its own round and contribution', async () => {
    const of = await networkHelpers.loadFixture(deployed)
    const { drand, alice } = of
    let seed = ZeroHash
    const seen = new Set<bigint>()
    for (const contribution of [id('a'), id('a'), id('b')]) {
      const round = await ask(of, alice, { contribution })
      expect(seen.has(round)).to.equal(false)
      seen.add(round)
      await networkHelpers.time.increaseTo(timeOf(testNetwork, round))
      await drand.submit(...signed(round))
      await drand.connect(alice).draw(ZeroHash, 0)
      seed = await seedAfter(of, alice, { seed, round, contribution })
      expect(await drand.seedOf(alice)).to.equal(seed)
    }
  })

  it('gives consumers that await one round seeds of their own, as it does contracts and chains', async () => {
    const of = await networkHelpers.loadFixture(deployed)
    const { drand, alice, bob, deploy } = of
    const other = await deploy(testNetwork)
    await ethers.provider.send('evm_setAutomine', [false])
    try {
      for (const contract of [drand, other]) for (const by of [alice, bob]) await contract.connect(by).draw(id('a'), 0, { gasLimit: 200_000 })
      await networkHelpers.mine()
    } finally {
      await ethers.provider.send('evm_setAutomine', [true])
    }
    const awaited = await Promise.all([drand, other].flatMap((contract) => [contract.awaitedBy(alice), contract.awaitedBy(bob)]))
    expect(new Set(awaited).size).to.equal(1)
    const round = awaited[0]!
    const seeds: string[] = []
    for (const contract of [drand, other]) {
      await contract.submit(...signed(round))
      for (const by of [alice, bob]) {
        await contract.connect(by).draw(id('a'), 0)
        seeds.push(await contract.seedOf(by))
      }
    }
    expect(new Set(seeds).size).to.equal(4)
    // The chain's id is in it: see seedAfter.
    expect(seeds[0]).to.equal(await seedAfter(of, alice, { round, contribution: id('a') }))
  })

  it('forgets what was asked for before the consumer settled what must not be chosen by the seed', async () => {
    const of = await networkHelpers.loadFixture(deployed)
    const { drand, alice } = of
    const at = BigInt(await networkHelpers.time.latest()) + 100n
    const first = await ask(of, alice, { at, since: at })
    await networkHelpers.time.increaseTo(at + 1000n)
    await drand.submit(...signed(first))
    const before = await networkHelpers.takeSnapshot()
    await drand.connect(alice).draw(id('b'), at)
    expect(await drand.seedOf(alice), 'settled at the same time').to.equal(await seedAfter(of, alice, { round: first, contribution: id('a') }))
    await before.restore()

    const second = await ask(of, alice, { contribution: id('b'), since: at + 1n, at: at + 2000n })
    expect(second).to.equal((at + 2000n + DELAY - testNetwork.genesisTime) / testNetwork.period + 2n)
    expect(await drand.seedOf(alice), 'the round that everybody knows counts no more').to.equal(ZeroHash)
    await drand.submit(...signed(second))
    await drand.connect(alice).draw(id('c'), at + 1n)
    expect(await drand.seedOf(alice)).to.equal(await seedAfter(of, alice, { round: second, contribution: id('b') }))
  })

  it('has its network, and only one with a key', async () => {
    const { evmnet, deploy } = await networkHelpers.loadFixture(deployed)
    const { x, y } = await evmnet.publicKey()
    expect(concat([...x, ...y].map((part) => toBeHex(part, 32)))).to.equal(EVMNET.publicKey)
    expect([await evmnet.genesisTime(), await evmnet.period(), await evmnet.delay()]).to.deep.equal([EVMNET.genesisTime, EVMNET.period, DELAY])
    const off = getBytes(EVMNET.publicKey)
    off[127]! ^= 1
    for (const publicKey of [hexlify(new Uint8Array(128)), hexlify(off)])
      await expect(deploy({ ...EVMNET, publicKey })).to.be.revertedWithCustomError(evmnet, 'InvalidPublicKey')
    await expect(deploy({ ...EVMNET, period: 0n })).to.be.revertedWithCustomError(evmnet, 'ZeroPeriod')
  })

  it('gives another chain other seeds of the same round', async () => {
    const seeds: string[] = []
    for (const id of [31337, 16661]) {
      const { ethers: other } = await network.create({ override: { chainId: id, initialDate: '2030-01-01T00:00:00Z' } })
      const [deployer] = (await other.getSigners()) as unknown as [Signer]
      const drand = await new Drand__factory(deployer).deploy(keyOf(testNetwork.publicKey), testNetwork.genesisTime, testNetwork.period, DELAY)
      await other.provider.send('evm_setNextBlockTimestamp', [2_000_000_000])
      await drand.draw(ZeroHash, 0)
      await drand.submit(...signed(await drand.awaitedBy(deployer)))
      await drand.draw(ZeroHash, 0)
      seeds.push(await drand.seedOf(deployer))
    }
    expect(seeds[0]).not.to.equal(seeds[1])
  })

  it('does in any order of calls what its description says: a seed follows from what was settled when its round was ahead, and from nothing else', async () => {
    const of = await networkHelpers.loadFixture(deployed)
    const { drand } = of
    const consumers = [of.alice, of.bob]
    const step = fc.oneof(
      fc.record({ do: fc.constant('draw' as const), who: fc.nat(1), since: fc.nat(300), contribution: fc.nat(3) }),
      // Of what is awaited, or of something beside it.
      fc.record({ do: fc.constant('submit' as const), who: fc.nat(1), beside: fc.integer({ min: -1, max: 1 }) }),
      fc.record({ do: fc.constant('pass' as const), seconds: fc.integer({ min: 1, max: 200 }) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 40 }), async (steps) => {
        const start = await networkHelpers.takeSnapshot()
        const chains = consumers.map(() => ({ seed: ZeroHash, round: 0n, askedAt: 0n, contribution: ZeroHash }))
        const known = new Set<bigint>()
        let now = BigInt(await networkHelpers.time.latest())
        const next = () => networkHelpers.time.setNextBlockTimestamp(++now)
        for (const each of steps) {
          if (each.do === 'pass') {
            now += BigInt(each.seconds)
            continue
          }
          const chain = chains[each.who]!
          const consumer = consumers[each.who]!
          await next()
          if (each.do === 'submit') {
            const round = chain.round + BigInt(each.beside)
            if (round < 1n) continue
            const sent = drand.submit(...signed(round))
            if (known.has(round)) await expect(sent).to.be.revertedWithCustomError(drand, 'RoundKnown')
            else await sent
            known.add(round)
            continue
          }
          const since = now - BigInt(each.since)
          const contribution = id(String(each.contribution))
          const draw = drand.connect(consumer).draw(contribution, since)
          if (chain.round === 0n || chain.askedAt < since) {
            await draw
            Object.assign(chain, { round: (now + DELAY - testNetwork.genesisTime) / testNetwork.period + 2n, askedAt: now, contribution })
          } else if (known.has(chain.round)) {
            await draw
            Object.assign(chain, { seed: await seedAfter(of, consumer, chain), round: 0n, askedAt: 0n })
          } else await expect(draw).to.be.revertedWithCustomError(drand, 'SeedNotReady')
          expect([await drand.seedOf(consumer), await drand.awaitedBy(consumer)]).to.deep.equal([chain.seed, chain.round])
        }
        await start.restore()
      }),
      { numRuns: 15, seed: 1 },
    )
  })
})

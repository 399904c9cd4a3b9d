import Table from 'cli-table3'
import { type Simulation, sizeOf } from './index.ts'

/** What a simulation found, for the reader. */
export function tablesOf({ loads, soundness, failures, seats, permutation, churn, throughput }: Simulation): string {
  const largest = Math.max(...loads.map(({ blob }) => blob))
  return [
    table(
      `Rows and bytes of a blob of ${sizeOf(largest)}, by stake`,
      ['stake', 'signers', 'K', 'rows: least', 'median', 'most', 'rows/T', 'received by a signer: mean', 'most', 'by all'],
      loads
        .filter(({ blob }) => blob === largest)
        .map(({ distribution, signers, k, rows, filled, received, sent }) => [
          ...[distribution, signers, k, rows.min, rows.median, rows.max, fixed(filled)],
          ...[percent(received.mean), percent(received.max), times(sent)],
        ]),
    ),
    table(
      'Bytes by size of blob, stake equal: K, what a signer receives, what all receive and keep',
      ['signers', ...new Set(loads.map(({ blob }) => sizeOf(blob)))],
      [...new Set(loads.map(({ signers }) => signers))].map((signers) => [
        signers,
        ...loads
          .filter((load) => load.distribution === 'equal' && load.signers === signers)
          .map(({ k, received, sent }) => `${k}: ${percent(received.mean)}, ${times(sent)}`),
      ]),
    ),
    table(
      'A signer on its own: that it accepts a blob of which fewer than T − e rows are valid (log2)',
      ['stake', 'signers', 'K: rows, log2'],
      [...new Map(soundness.map((each) => [`${each.distribution} ${each.signers}`, each])).values()].map(({ distribution, signers }) => [
        distribution,
        signers,
        soundness
          .filter((each) => each.distribution === distribution && each.signers === signers)
          .map(({ k, rows, log2Accepts }) => `${k}: ${rows}, ${bits(log2Accepts)}`)
          .join('   '),
      ]),
    ),
    table(
      'Certified, but honest signers hold fewer than K distinct rows',
      ['stake', 'signers', 'K', 'a third of the weight', 'taken by', 'failed', 'rows held/K, least'],
      failures
        .filter(({ failed, adversary, order }) => failed > 0 || (adversary === 'collude' && (order === 'random' || order === 'holders')))
        .map(({ distribution, signers, k, adversary, order, trials, failed, least }) => [
          ...[distribution, signers, k, adversary, order, `${failed} of ${trials}`, fixed(least)],
        ]),
    ),
    table(
      'Committees: seats (of 442) of a part of the stake, and in one epoch the chance (log2) of a third of them, and of so many that a certificate may fail',
      ['stake', 'signers', 'part of the stake', 'seats: mean', 'most', 'a third', 'too many'],
      seats.map(({ distribution, signers, part, mean, most, log2Third, log2TooMany }) => [
        ...[distribution, signers, percent(part), fixed(mean), most, bits(log2Third), bits(log2TooMany)],
      ]),
    ),
    table(
      'Rows of members next to rows drawn at random: how often some are all valid when five eighths are',
      ['K', 'valid', 'rows', 'samples', 'measured', 'expected', 'deviations'],
      permutation.map(({ k, valid, drawn, samples, measured, expected, deviation }) => [
        k,
        valid,
        drawn,
        samples,
        measured.toFixed(5),
        expected.toFixed(5),
        fixed(deviation),
      ]),
    ),
    table(
      'Epochs of fourteen days while signers come and go (Zipf)',
      ['signers', 'leave in an epoch', 'smallest K: epochs', 'changes of codes', 'stake of the first epoch left'],
      churn.map(({ signers, leaving, smallest, changes, kept }) => [
        ...[
          signers,
          percent(leaving),
          Object.entries(smallest)
            .map(([k, epochs]) => `${k}: ${epochs}`)
            .join('  '),
          changes,
          percent(kept),
        ],
      ]),
    ),
    table(
      'Throughput, stake equal',
      ['blobs', 'signers', 'K', 'signers carry MB/s', 'a disperser sends MB/s', 'dispersers', 'gas of a certificate', 'a third absent', 'gas per MiB'],
      throughput.map(({ blob, signers, k, signerLimit, disperserLimit, dispersers, gas, gasThirdAbsent, gasPerMiB }) => [
        ...[sizeOf(blob), signers, k, fixed(signerLimit), fixed(disperserLimit), dispersers, gas, gasThirdAbsent, fixed(gasPerMiB)],
      ]),
    ),
  ].join('\n\n')
}

function table(title: string, head: string[], rows: (string | number)[][]): string {
  const drawn = new Table({ head, colAligns: head.map(() => 'right'), style: { head: [], border: [], compact: true } })
  drawn.push(...rows.map((row) => row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell))))
  return `${title}\n${drawn.toString()}`
}

const fixed = (value: number): string => (Math.abs(value) < 10 ? value.toFixed(2) : Math.round(value).toLocaleString('en'))
const percent = (part: number): string => `${(100 * part).toPrecision(3)} %`
const times = (factor: number): string => `${factor.toPrecision(3)}×`
const bits = (log2: number): string => (log2 === Number.NEGATIVE_INFINITY ? 'never' : log2.toFixed(1))

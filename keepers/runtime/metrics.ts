import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
  type Metric,
  Registry,
} from 'prom-client'

/** Buckets for latencies in seconds. */
export const SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60]

/** A keeper's own numbers; every line carries its name, since several keepers may share a process. */
export function createMetrics(keeper: string): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ keeper })
  return registry
}

let ofProcess: Registry | undefined

/** Memory, CPU, event loop: measured once however many keepers are in the process. */
export function processMetrics(): Registry {
  if (!ofProcess) {
    ofProcess = new Registry()
    collectDefaultMetrics({ register: ofProcess })
  }
  return ofProcess
}

// The parts of a keeper name the metrics they share (a latency, a queue's length) without knowing of each other: whoever asks first makes it.
function shared<M>(registry: Registry, name: string, make: () => M): M {
  return (registry.getSingleMetric(name) as (M & Metric) | undefined) ?? make()
}

export const counter = <L extends string>(registry: Registry, configuration: CounterConfiguration<L>): Counter<L> =>
  shared(registry, configuration.name, () => new Counter({ ...configuration, registers: [registry] }))

export const gauge = <L extends string>(registry: Registry, configuration: GaugeConfiguration<L>): Gauge<L> =>
  shared(registry, configuration.name, () => new Gauge({ ...configuration, registers: [registry] }))

export const histogram = <L extends string>(registry: Registry, configuration: HistogramConfiguration<L>): Histogram<L> =>
  shared(registry, configuration.name, () => new Histogram({ ...configuration, registers: [registry] }))

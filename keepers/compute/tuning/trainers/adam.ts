/** Kingma & Ba 2015 with their constants; what had no gradient in a step is left alone (as in sparse optimizers). */
const BETA1 = 0.9
const BETA2 = 0.999
const EPSILON = 1e-8

/** Adam for one tensor: collects gradients, then moves the values. */
export class Adam {
  readonly #values: Float32Array
  readonly #rate: number
  readonly #mean: Float32Array
  readonly #square: Float32Array
  readonly #gradient: Float64Array
  /** Indices with a gradient, and which those are. */
  readonly #touched: number[] = []
  readonly #isTouched: Uint8Array

  constructor(values: Float32Array, rate: number) {
    this.#values = values
    this.#rate = rate
    this.#mean = new Float32Array(values.length)
    this.#square = new Float32Array(values.length)
    this.#gradient = new Float64Array(values.length)
    this.#isTouched = new Uint8Array(values.length)
  }

  add(index: number, gradient: number): void {
    this.#gradient[index]! += gradient
    if (this.#isTouched[index] === 1) return
    this.#isTouched[index] = 1
    this.#touched.push(index)
  }

  /** @param step counts from 1 */
  apply(step: number): void {
    const rate = (this.#rate * Math.sqrt(1 - BETA2 ** step)) / (1 - BETA1 ** step)
    for (const i of this.#touched) {
      const gradient = this.#gradient[i]!
      this.#mean[i] = BETA1 * this.#mean[i]! + (1 - BETA1) * gradient
      this.#square[i] = BETA2 * this.#square[i]! + (1 - BETA2) * gradient * gradient
      this.#values[i]! -= (rate * this.#mean[i]!) / (Math.sqrt(this.#square[i]!) + EPSILON)
      this.#gradient[i] = 0
      this.#isTouched[i] = 0
    }
    this.#touched.length = 0
  }

  /** All that a checkpoint must keep: values and moments. */
  tensors(): Float32Array[] {
    return [this.#values, this.#mean, this.#square]
  }
}

interface Waiting<T> {
  item: T
  resolve: () => void
  reject: (error: unknown) => void
}

/** Does together what comes while the last group is being done: a sync of the disk or a transaction costs the same for one and for many. */
export class Groups<T> {
  readonly #commit: (items: T[]) => Promise<void>
  #waiting: Waiting<T>[] = []
  #busy = false

  constructor(commit: (items: T[]) => Promise<void>) {
    this.#commit = commit
  }

  /** Resolves when the item's group is committed; rejects for all of a group alike. */
  add(item: T): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      if (!this.#busy) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#busy = true
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        await this.#commit(group.map(({ item }) => item))
        for (const { resolve } of group) resolve()
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    this.#busy = false
  }
}

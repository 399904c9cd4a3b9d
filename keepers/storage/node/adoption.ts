import type { Submission, Submissions } from './submissions.ts'

/** Submissions read at once. */
const BATCH = 100

/** Brings every newly seen submission together with what may be stored of it already. */
export class Adoption {
  readonly #submissions: Submissions
  readonly #adopt: (submission: Submission) => Promise<void>
  /** Number of submissions looked at: all below this. */
  #next: number
  #running: Promise<void> | undefined
  #again = false

  constructor(submissions: Submissions, next: number, adopt: (submission: Submission) => Promise<void>) {
    this.#submissions = submissions
    this.#next = next
    this.#adopt = adopt
  }

  /** The log was cut to `count` submissions. */
  retreat(count: number): void {
    this.#next = Math.min(this.#next, count)
  }

  /** Looks at what is new. Resolves when nothing is left to look at. */
  async advance(): Promise<void> {
    this.#again = true
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false
      for (;;) {
        const fresh = await this.#submissions.after(this.#next - 1, BATCH)
        if (fresh.length === 0) break
        for (const submission of fresh) {
          await this.#adopt(submission)
          this.#next = submission.seq + 1
        }
      }
    }
  }
}

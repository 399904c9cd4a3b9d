import type { Registry } from 'prom-client'
import { TASK_STATES } from '../../../protocol/compute/tuning-task.ts'
import { gauge } from '../../runtime/metrics.ts'
import type { Tasks } from './tasks.ts'
import type { Uploads } from './uploads.ts'

export function observe(metrics: Registry, { tasks, uploads }: { tasks: Tasks; uploads: Uploads }): void {
  gauge(metrics, {
    name: 'tuning_tasks',
    help: 'Tasks by state',
    labelNames: ['state'],
    async collect() {
      const counts = new Map((await tasks.byState()).map(({ state, count }) => [state, count]))
      for (const state of TASK_STATES) this.set({ state }, counts.get(state) ?? 0)
    },
  })
  gauge(metrics, {
    name: 'tuning_upload_bytes',
    help: 'Datasets that users uploaded',
    async collect() {
      this.set(await uploads.bytes())
    },
  })
}

import type { Backend, Model } from './backends/backend.ts'
import { ApiError, badRequest, unavailable } from './errors.ts'

/** What the backend can answer with. */
export class Models {
  readonly #backend: Backend

  constructor(backend: Backend) {
    this.#backend = backend
  }

  /** @throws ApiError 503 while the backend does not say */
  async list(): Promise<readonly Model[]> {
    try {
      return await this.#backend.models()
    } catch (cause) {
      throw unavailable('the models cannot be listed now', 5, cause)
    }
  }

  /** @throws ApiError 404 for one that is not served */
  async find(id: unknown): Promise<Model> {
    if (typeof id !== 'string') throw badRequest('model is missing: name one of /v1/models')
    const models = await this.list()
    const model = models.find((model) => model.id === id)
    if (!model)
      throw new ApiError(
        404,
        'model_not_found',
        `there is no model ${id.slice(0, 100)} here; served are ${models
          .map(({ id }) => id)
          .slice(0, 20)
          .join(', ')}`,
      )
    return model
  }
}

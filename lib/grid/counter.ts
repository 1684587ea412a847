/** A number that members add to; linearizable. */
import type { Calls } from './calls.ts'
import type { Counter, OperationOptions, WriteOptions } from './handles.ts'

export class GridCounter implements Counter {
  readonly name: string
  readonly #calls: Calls

  constructor(calls: Calls, name: string) {
    this.#calls = calls
    this.name = name
  }

  async get(options?: OperationOptions): Promise<number> {
    const { name } = this
    return (await this.#calls.askAt(name, { kind: 'counter.get', counter: name }, this.#calls.timed(options))) as number
  }

  async add(by = 1, options?: WriteOptions): Promise<number> {
    const operation = { kind: 'counter.add', counter: this.name, by } as const
    return (await this.#calls.runAt(this.name, operation, this.#calls.timed(options), options)) as number
  }

  async set(value: number, options?: WriteOptions & { readonly ifValue?: number | undefined }): Promise<number> {
    const operation = { kind: 'counter.set', counter: this.name, value, ifValue: options?.ifValue } as const
    return (await this.#calls.runAt(this.name, operation, this.#calls.timed(options), options)) as number
  }
}

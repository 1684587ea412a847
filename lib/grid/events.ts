/** Listeners by the name of what happened. A listener that throws is told of as an error event and disturbs nobody else. */

type Listener = (value: never) => void

export class Events<Map extends object> {
  readonly #listeners = new globalThis.Map<keyof Map, Set<Listener>>()
  readonly #failed: (error: unknown) => void

  constructor(failed: (error: unknown) => void = () => undefined) {
    this.#failed = failed
  }

  /** Returns how to stop listening. */
  on<E extends keyof Map>(event: E, listener: (value: Map[E]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    // A wrapper of its own, so that the same function may listen twice.
    const own = (value: Map[E]): void => listener(value)
    listeners.add(own as Listener)
    return () => void listeners.delete(own as Listener)
  }

  tell<E extends keyof Map>(event: E, value: Map[E]): void {
    for (const listener of Array.from(this.#listeners.get(event) ?? [])) {
      try {
        ;(listener as (value: Map[E]) => void)(value)
      } catch (error) {
        this.#failed(error)
      }
    }
  }
}

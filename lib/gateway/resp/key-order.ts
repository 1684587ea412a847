/**
 * The order of one connection's commands: those on different keys run at once, those on one key as they came, but for
 * reads beside reads. So a pipeline costs one round trip and still reads its own writes.
 */

interface Lane {
  /** The last write begun; reads after it wait for it. */
  write: Promise<unknown> | undefined
  /** Reads begun since; a write waits for them too. */
  reads: Promise<unknown>[]
  openCount: number
}

export class KeyOrder {
  readonly #lanes = new Map<string, Lane>()

  /** Begins at once if nothing before it is in the way. `begin` must not throw synchronously. */
  run<T>(keys: readonly string[], isWrite: boolean, begin: () => Promise<T>): Promise<T> {
    const before: Promise<unknown>[] = []
    const lanes = [...new Set(keys)].map(key => this.#lane(key))
    for (const { write, reads } of lanes) {
      if (write !== undefined) before.push(write)
      if (isWrite) before.push(...reads)
    }
    const running = before.length === 0 ? begin() : Promise.all(before).then(begin)
    // Whoever waits for it does not care how it ended.
    const ended = running.then(nothing, nothing)
    for (const lane of lanes) {
      if (isWrite) {
        lane.write = ended
        lane.reads = []
      } else lane.reads.push(ended)
      lane.openCount++
    }
    const leave = (): void => this.#leave(keys)
    void ended.then(leave)
    return running
  }

  #lane(key: string): Lane {
    const found = this.#lanes.get(key)
    if (found !== undefined) return found
    const lane: Lane = { write: undefined, reads: [], openCount: 0 }
    this.#lanes.set(key, lane)
    return lane
  }

  #leave(keys: readonly string[]): void {
    for (const key of new Set(keys)) {
      const lane = this.#lanes.get(key) as Lane
      if (--lane.openCount === 0) this.#lanes.delete(key)
    }
  }
}

function nothing(): void {}

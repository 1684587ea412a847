/**
 * Named definitions that the cluster agrees on: the options of queues, the versions of flows. The first one wins; whoever
 * brings a differing one is told so in the log, once a name, and uses the one in force.
 */
import type { Plain } from '../base/shape.ts'
import type { Calls, Timed } from './calls.ts'

const repeatMs = 250

export class Definitions {
  readonly #calls: Calls
  readonly #warned = new Set<string>()

  constructor(calls: Calls) {
    this.#calls = calls
  }

  get(name: string): Plain | undefined {
    return this.#calls.peer?.state.definitions.get(name)
  }

  /** In force, by name. */
  list(prefix: string): ReadonlyMap<string, Plain> {
    const all = this.#calls.peer?.state.definitions ?? new Map<string, Plain>()
    return new Map([...all].filter(([name]) => name.startsWith(prefix)))
  }

  /** Resolves with the one in force. */
  async define(name: string, definition: Plain, timed: Timed, isReplacing = false): Promise<Plain> {
    const wanted = canonical(definition)
    const inForce = (): Plain | undefined => {
      const found = this.get(name)
      return found !== undefined && isReplacing && canonical(found) !== wanted ? undefined : found
    }
    for (;;) {
      const found = inForce()
      if (found !== undefined) {
        if (canonical(found) !== wanted) this.#warn(name)
        return found
      }
      this.#calls.peer?.define({ kind: 'define', name, definition, ifAbsent: !isReplacing })
      // Sent once and perhaps lost: say it again until the agreed state shows it.
      const again = { deadlineMs: Math.min(timed.deadlineMs, this.#calls.nowMs + repeatMs), signal: timed.signal }
      try {
        await this.#calls.until(again, `agreement on ${name}`, inForce)
      } catch (error) {
        if (this.#calls.nowMs >= timed.deadlineMs || timed.signal?.aborted === true || !this.#calls.isOpen) throw error
      }
    }
  }

  #warn(name: string): void {
    if (this.#warned.has(name)) return
    this.#warned.add(name)
    this.#calls.env.emit({ kind: 'emit', level: 'warn', event: 'grid.definition-differs', fields: { name } })
  }
}

/** Equal definitions have equal texts, whatever the order of their fields. */
function canonical(value: Plain): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}

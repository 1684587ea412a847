/**
 * Where `persist` effects go. In memory they are done at once: the record lives as long as the process, which is what
 * a member's identity is bound to. A disk adapter completes after its group commit; the simulator delays at will.
 */
export interface Storage {
  /** Makes the record durable, then calls `done`, in the order of the calls; may do so before returning. */
  persist(layer: 'consensus' | 'replication', record: unknown, done: () => void): void
}

export const memoryStorage: Storage = {
  persist: (_layer, _record, done) => done(),
}

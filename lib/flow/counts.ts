/** What a running flow has done at this peer since it started: for status and metrics. */
export interface FlowCounts {
  /** Messages taken in. */
  accepted: number
  /** Known by their Idempotency-Key or by an idempotent receiver. */
  duplicates: number
  filtered: number
  /** Units of work committed. */
  committed: number
  /** Rolled back, to be tried again. */
  retried: number
  dead: number
  /** Groups merged and sent on. */
  released: number
  /** Groups whose time was over. */
  timedOut: number
  /** Work done that another peer had done or taken over: nothing of it was committed. */
  superseded: number
}

export function noCounts(): FlowCounts {
  return {
    accepted: 0,
    duplicates: 0,
    filtered: 0,
    committed: 0,
    retried: 0,
    dead: 0,
    released: 0,
    timedOut: 0,
    superseded: 0,
  }
}

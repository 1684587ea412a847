/** Aggregated deliveries: each pair of which both halves were accepted comes out once and whole; none twice. */
export interface Pair {
  readonly id: string
  /** Sources whose half was accepted for certain. */
  readonly accepted: string[]
}

export interface Delivered {
  readonly id: string
  readonly head: string
  readonly payload: string
}

/** What can't be, in words. */
export function deliveryViolations(pairs: readonly Pair[], delivered: readonly Delivered[]): string[] {
  const byId = Map.groupBy(delivered, ({ id }) => id)
  const violations: string[] = []
  for (const { id, accepted } of pairs) {
    const found = byId.get(id) ?? []
    if (found.length > 1) violations.push(`${id} was delivered ${found.length} times`)
    if (found.length === 0 && accepted.length > 1) violations.push(`${id} was accepted and never delivered`)
    for (const { head, payload } of found) {
      if (head !== `head of ${id}` || payload !== `payload of ${id}`)
        violations.push(`${id} was delivered as ${head} and ${payload}`)
    }
  }
  const known = new Set(pairs.map(({ id }) => id))
  for (const id of byId.keys()) if (!known.has(id)) violations.push(`${id} was delivered and never sent`)
  return violations
}

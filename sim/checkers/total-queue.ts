/**
 * Messages of a queue: every acknowledged put is committed exactly once or still there; nobody receives what was never
 * put; what was committed is not delivered again; a group is delivered in the order in which it was put, the next
 * message only after the one before was given up or committed (P3).
 */
export interface Put {
  readonly id: string
  readonly group: string | undefined
  readonly calledAt: number
  /** Infinity: outcome unknown. */
  readonly returnedAt: number
}

export interface Delivery {
  readonly id: string
  readonly token: number
  /** Of the take. */
  readonly calledAt: number
  readonly returnedAt: number
  /** Of the acknowledgement, if the consumer sent one that did not certainly fail. */
  readonly ackCalledAt: number | undefined
  /** Infinity: outcome unknown. */
  readonly ackReturnedAt: number | undefined
}

export interface QueueHistory {
  /** Puts that did not certainly fail. */
  readonly puts: readonly Put[]
  readonly deliveries: readonly Delivery[]
  /** Ids in the queue and among its dead letters when all was over. */
  readonly left: readonly string[]
}

/** What can't be, in words. */
export function queueViolations(history: QueueHistory): string[] {
  const deliveries = Map.groupBy(history.deliveries, delivery => delivery.id)
  const puts = new Map(history.puts.map(put => [put.id, put]))
  const left = new Map<string, number>()
  for (const id of history.left) left.set(id, (left.get(id) ?? 0) + 1)
  return [
    ...invented(puts, deliveries, left),
    ...history.puts.flatMap(put => counted(put, deliveries.get(put.id) ?? [], left.get(put.id) ?? 0)),
    ...disordered(history.puts, deliveries),
  ]
}

function invented(
  puts: ReadonlyMap<string, Put>,
  deliveries: ReadonlyMap<string, readonly Delivery[]>,
  left: ReadonlyMap<string, number>,
): string[] {
  const early = [...deliveries].filter(([id, all]) =>
    all.some(one => one.returnedAt < (puts.get(id)?.calledAt ?? Infinity)),
  )
  const strange = [...left.keys()].filter(id => !puts.has(id))
  return [...early.map(([id]) => id), ...strange].map(id => `${id} was there though nobody had put it`)
}

function counted(put: Put, deliveries: readonly Delivery[], leftCount: number): string[] {
  const acked = deliveries.filter(
    delivery => delivery.ackReturnedAt !== undefined && delivery.ackReturnedAt !== Infinity,
  )
  const maybe = deliveries.some(delivery => delivery.ackReturnedAt === Infinity)
  const problems: string[] = []
  if (acked.length > 1) problems.push(`${put.id} was committed ${acked.length} times`)
  if (leftCount > 1) problems.push(`${put.id} is there ${leftCount} times`)
  if (leftCount > 0 && acked.length > 0) problems.push(`${put.id} is still there though it was committed`)
  if (put.returnedAt !== Infinity && acked.length + leftCount === 0 && !maybe) {
    problems.push(`${put.id} is lost: ${deliveries.length} deliveries, none committed`)
  }
  const over = acked[0]
  if (over !== undefined && deliveries.some(delivery => delivery.calledAt > (over.ackReturnedAt as number))) {
    problems.push(`${put.id} was delivered again after it had been committed`)
  }
  return problems
}

/** Of two messages of one group, the later put must not be received while the earlier can't be over. */
function disordered(puts: readonly Put[], deliveries: ReadonlyMap<string, readonly Delivery[]>): string[] {
  const problems: string[] = []
  const groups = Map.groupBy(
    puts.filter(put => put.group !== undefined && put.returnedAt !== Infinity),
    put => put.group,
  )
  for (const group of groups.values()) {
    for (const first of group) {
      const doneAt = endOf(deliveries.get(first.id) ?? [])
      for (const second of group) {
        if (second.calledAt < first.returnedAt) continue
        const early = (deliveries.get(second.id) ?? []).find(delivery => delivery.returnedAt < doneAt)
        if (early !== undefined) problems.push(`${second.id} overtook ${first.id} of its group`)
      }
    }
  }
  return problems
}

/** The earliest moment at which the message can have been committed; Infinity if it never was. */
function endOf(deliveries: readonly Delivery[]): number {
  return Math.min(Infinity, ...deliveries.map(delivery => delivery.ackCalledAt ?? Infinity))
}

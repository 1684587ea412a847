/**
 * A counter whose additions are all of one: each acknowledged addition returned a value of its own, values grow in real
 * time, and what is missing between them was added by calls of unknown outcome. So an addition applied twice shows as a
 * gap that nobody can have made, and a lost one as a value given twice.
 */
export interface CounterCall {
  readonly kind: 'add' | 'read'
  readonly calledAt: number
  /** Infinity: outcome unknown. */
  readonly returnedAt: number
  readonly value: number | undefined
}

/** What can't be, in words; undefined if all can. */
export function counterViolation(calls: readonly CounterCall[]): string | undefined {
  const adds = calls.filter(call => call.kind === 'add' && call.value !== undefined)
  const unknownCount = calls.filter(call => call.kind === 'add' && call.value === undefined).length
  const values = new Set(adds.map(call => call.value))
  if (values.size < adds.length) return 'two additions returned the same value'
  const known = calls.filter(call => call.value !== undefined)
  const top = known.reduce((most, call) => Math.max(most, call.value as number), 0)
  const gapCount = top - adds.length
  if (gapCount > unknownCount) {
    return `reached ${top} by ${adds.length} known additions and at most ${unknownCount} of unknown outcome`
  }
  return backwards(known)
}

/** A call that began after another returned and yet saw less (or as much, if it added). */
function backwards(calls: readonly CounterCall[]): string | undefined {
  const byReturn = [...calls].sort((a, b) => a.returnedAt - b.returnedAt)
  const byCall = [...calls].sort((a, b) => a.calledAt - b.calledAt)
  let most = -1
  let at = 0
  for (const call of byCall) {
    for (; (byReturn[at]?.returnedAt ?? Infinity) < call.calledAt; at++) {
      most = Math.max(most, byReturn[at]?.value as number)
    }
    const value = call.value as number
    if (value < most || (call.kind === 'add' && value === most)) {
      return `${call.kind} returned ${value} after ${most} had been seen`
    }
  }
  return undefined
}

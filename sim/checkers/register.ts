/** The sequential register: reads, writes, compare-and-set by value and by version. One key of a map. */
import { checkEach, checkOne, type Call, type KeyedVerdict, type Model } from './linearizability.ts'

export type RegisterInput =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly value: string }
  | { readonly kind: 'delete' }
  /** Writes `value` if the register holds `expected` (undefined: nothing). */
  | { readonly kind: 'swap'; readonly expected: string | undefined; readonly value: string }

export type RegisterOutput =
  /** undefined: nothing there. */
  | { readonly kind: 'read'; readonly value: string | undefined }
  | { readonly kind: 'written' }
  /** The comparison failed: known not to have happened, and that the value was another. */
  | { readonly kind: 'mismatch' }

export const registerModel: Model<string, RegisterInput, RegisterOutput> = {
  // '' stands for nothing there, since undefined says "not allowed".
  initial: '',
  step: (state, input, output) => {
    const held = state
    switch (input.kind) {
      case 'read':
        return output?.kind === 'read' && (output.value ?? '') !== held ? undefined : held
      case 'write':
        return input.value
      case 'delete':
        return ''
      case 'swap': {
        const isMatch = (input.expected ?? '') === held
        if (output !== undefined && (output.kind === 'mismatch') === isMatch) return undefined
        return isMatch ? input.value : held
      }
    }
  },
  key: state => state,
}

/** Steps spent on a history without what nobody saw; most need a hundredth of it. */
const quickStepCountMax = 1_000_000

/**
 * Decides many registers whose written values are all different. What was changed with unknown outcome and never seen is
 * left out at first: a history that is linearizable without such calls is so with them, since they may never have taken
 * effect, and each of them doubles the search. Only a history that needs them is searched whole.
 */
export function checkRegisters<Key>(
  histories: ReadonlyMap<Key, readonly Call<RegisterInput, RegisterOutput>[]>,
): KeyedVerdict<Key> {
  const hard = new Map(
    [...histories].filter(
      ([, calls]) => checkOne(registerModel, withoutUnseen(calls), quickStepCountMax) !== 'linearizable',
    ),
  )
  return hard.size === 0 ? { verdict: 'linearizable', keys: [] } : checkEach(registerModel, hard)
}

/** All calls but those of unknown outcome whose value no read returned and no swap found. */
function withoutUnseen(
  calls: readonly Call<RegisterInput, RegisterOutput>[],
): readonly Call<RegisterInput, RegisterOutput>[] {
  const seen = new Set<string>()
  for (const { input, output } of calls) {
    if (output?.kind === 'read') seen.add(output.value ?? '')
    else if (input.kind === 'swap' && output?.kind !== 'mismatch') seen.add(input.expected ?? '')
  }
  return calls.filter(({ input, output }) => {
    if (output !== undefined || input.kind === 'read') return true
    return seen.has(input.kind === 'delete' ? '' : input.value)
  })
}

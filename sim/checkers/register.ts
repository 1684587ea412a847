/** The sequential register: reads, writes, compare-and-set by value and by version. One key of a map. */
import type { Model } from './linearizability.ts'

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

/** The context that steps get: time from the peer, randomness from the message. */
import type { Env } from '../base/env.ts'
import { Prng } from '../base/prng.ts'
import type { StepContext } from './message.ts'

export function stepContext(
  env: Env,
  {
    flow,
    id,
    step,
    signal,
  }: { readonly flow: string; readonly id: string; readonly step: string; readonly signal: AbortSignal },
): StepContext {
  let prng: Prng | undefined
  return {
    get now() {
      return env.now().wallMs
    },
    random: () => (prng ??= new Prng(`${id}/${step}`)).float(),
    signal,
    log: (text, fields = {}) =>
      env.emit({
        kind: 'emit',
        level: 'info',
        event: 'flow.log',
        fields: { ...fields, flow, step, message: id, text },
      }),
  }
}

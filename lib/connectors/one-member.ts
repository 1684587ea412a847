/**
 * Work that one member at a time does for all, under a fenced lock: another takes over when its session or lease ends.
 * Whoever commits under it hands the fence on, so that a holder that was asleep cannot.
 */
import { ConflictError } from '../base/errors.ts'
import type { OpenSource, SourceHost } from '../flow/ports.ts'
import { reasonOf } from '../flow/errors.ts'
import { sleep } from '../flow/pause.ts'

export interface Held {
  readonly fence: number
  readonly signal: AbortSignal
}

const waitMs = 10_000
const againMs = 500

/** A source that one member at a time runs, under the lock `source/FLOW/SOURCE`. */
export function openOnOneMember(
  host: SourceHost,
  address: string,
  begin: (lock: string) => (held: Held) => Promise<void>,
): Promise<OpenSource> {
  const closing = new AbortController()
  const lock = `source/${host.flow}/${host.source}`
  const done = onOneMember(host, lock, closing.signal, begin(lock))
  const close = async (): Promise<void> => {
    closing.abort()
    await done
  }
  return Promise.resolve({ address, close })
}

/** Runs until the source is closed. `work` ends when its signal aborts. */
async function onOneMember(
  host: SourceHost,
  lock: string,
  closing: AbortSignal,
  work: (held: Held) => Promise<void>,
): Promise<void> {
  while (!closing.aborted) {
    try {
      await host.grid.lock(lock).run(
        async held => {
          host.log('info', 'source.active', { lock, fence: held.fence })
          await work({ fence: held.fence, signal: AbortSignal.any([held.signal, closing]) })
        },
        { wait: waitMs, signal: closing },
      )
    } catch (error) {
      if (closing.aborted) return
      // Somebody else does it.
      if (!(error instanceof ConflictError)) host.log('warn', 'source.interrupted', { lock, reason: reasonOf(error) })
    }
    await sleep(host.env, againMs, closing)
  }
}

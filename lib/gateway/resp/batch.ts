/**
 * Equal commands on one key that follow each other in a pipeline, as one operation: while the first is on its way the others
 * would only wait. What each answers is what it would have answered had they run back to back, which nobody can tell
 * from their running one by one.
 */
import { InvalidError, WrongTypeError } from '../../base/errors.ts'
import type { Call, Command } from './command.ts'
import type { Reply } from './reply.ts'

/** More begin another one, so that a command fits one message. */
const callsMax = 256
const bytesMax = 256 * 1024

export interface Batch<Slot> {
  readonly command: Command
  readonly calls: Call[]
  readonly slots: Slot[]
  bytes: number
}

/** Those of one connection that have not begun: by key, the last one queued on it. */
export class Batches<Slot> {
  readonly #waiting = new Map<string, Batch<Slot>>()

  /** The batch that was begun with this call; undefined if the call joined one that waits. */
  add(key: string, command: Command, call: Call, slot: Slot): Batch<Slot> | undefined {
    const bytes = bytesOf(call)
    const last = this.#waiting.get(key)
    const isRoom = last !== undefined && last.calls.length < callsMax && last.bytes + bytes <= bytesMax
    if (isRoom && last.command === command) {
      last.calls.push(call)
      last.slots.push(slot)
      last.bytes += bytes
      return undefined
    }
    const batch = { command, calls: [call], slots: [slot], bytes }
    this.#waiting.set(key, batch)
    return batch
  }

  /** Nothing joins what waits on these keys any more: another command came behind it, or it begins. */
  close(keys: readonly string[]): void {
    if (this.#waiting.size > 0) for (const key of keys) this.#waiting.delete(key)
  }
}

/** One answer a call; `failure` makes one of what a call threw. */
export async function runBatch<Slot>(
  { command, calls }: Batch<Slot>,
  failure: (error: unknown) => Reply,
): Promise<readonly Reply[]> {
  if (calls.length > 1 && command.together !== undefined) {
    try {
      return await command.together.run(calls)
    } catch (error) {
      // Refused for one of them, perhaps: then each hears its own. Anything else is true of all.
      const isRefused = error instanceof InvalidError || error instanceof WrongTypeError
      if (!isRefused) return calls.map(() => failure(error))
    }
  }
  const replies: Reply[] = []
  for (const call of calls) {
    try {
      replies.push(await command.run(call))
    } catch (error) {
      replies.push(failure(error))
    }
  }
  return replies
}

function bytesOf({ args }: Call): number {
  return args.reduce((sum, argument) => sum + argument.length, 0)
}

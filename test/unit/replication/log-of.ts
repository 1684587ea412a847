/** A partition state with its log: numbers the entries and keeps them, so that another copy can apply the same. */
import type { Plain } from '../../../lib/base/shape.ts'
import type { CallId, Command, LogEntry, Outcome } from '../../../lib/replication/command.ts'
import { PartitionState, type PartitionStateOptions } from '../../../lib/replication/partition-state.ts'
import { ToyMachine, toyShape, type ToyOperation } from './toy-machine.ts'

export class LogOf {
  machine: ToyMachine = new ToyMachine()
  state: PartitionState
  readonly entries: LogEntry[] = []
  epoch = 1
  atMs = 1000
  nowMs = 0
  readonly #inquireAfterMs: number

  constructor(inquireAfterMs = 1000) {
    this.#inquireAfterMs = inquireAfterMs
    this.state = new PartitionState(this.#options())
  }

  apply(command: Command): Outcome | undefined {
    const entry = { epoch: this.epoch, index: this.state.appliedIndex + 1, atMs: this.atMs, command }
    this.entries.push(entry)
    return this.state.apply(entry, this.nowMs)
  }

  execute(call: CallId, ...operations: readonly ToyOperation[]): Outcome | undefined {
    return this.apply({ kind: 'execute', call, operations })
  }

  /** Goes on with what a snapshot carries, as a new copy does. `wire` stands for what the network does to records. */
  restore(bytesMax = 100, wire: (records: readonly Plain[]) => readonly Plain[] = structuredCopy): void {
    const cursor = this.state.snapshot()
    this.machine = new ToyMachine()
    const restore = PartitionState.restore(this.#options())
    for (let chunk = cursor.next(bytesMax); chunk !== undefined; chunk = cursor.next(bytesMax)) restore.add(wire(chunk))
    this.state = restore.finish(this.nowMs)
  }

  #options(): PartitionStateOptions {
    return { machine: this.machine, operationShape: toyShape, inquireAfterMs: this.#inquireAfterMs }
  }
}

export function call(session: string, sequence: number, mark = 1): CallId {
  return { session, sequence, mark }
}

function structuredCopy(records: readonly Plain[]): readonly Plain[] {
  return JSON.parse(JSON.stringify(records)) as readonly Plain[]
}

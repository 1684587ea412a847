/**
 * Once: operations that run the first time their key is seen, and results remembered for those who ask again with it
 * (`Idempotency-Key` at the doors). It covers what sequences of a session cannot: a client that comes back through
 * another member.
 */
import type { Plain } from '../base/shape.ts'
import type { ApplyContext, QueryResult, Refusal } from '../replication/state-machine.ts'
import { Deadlines } from './deadlines.ts'
import { againMs } from './leases.ts'
import type { OnceOperation, OnceQuery, StructureOperation } from './operations.ts'
import { due, dueAtMs, found, isDue, refusal, type IsLocked, type Partition, type Structure } from './structure.ts'

export const rememberedMax = 100_000
/** More operations than any command may have: inner ones are numbered beyond all outer ones. */
const ordinalBase = 10_000
const space = 'once'

/** In space 'once' by key. */
type Memory = readonly [forgetAtMs: number, results: readonly Plain[]]

/** What runs the operations inside. */
export interface Runner {
  locks(operation: StructureOperation): readonly string[]
  check(operation: StructureOperation, context: ApplyContext): Refusal | undefined
  execute(operation: StructureOperation, context: ApplyContext): Plain
}

export class OnceStructure implements Structure<OnceOperation, OnceQuery> {
  readonly #partition: Partition
  readonly #runner: Runner
  readonly #memories = new Deadlines<string, null>()

  constructor(partition: Partition, runner: Runner) {
    this.#partition = partition
    this.#runner = runner
  }

  locks(subject: OnceOperation | OnceQuery): readonly string[] {
    const own = `once:${subject.key}`
    if (subject.kind !== 'once.run') return [own]
    return [own, ...subject.operations.flatMap(operation => this.#runner.locks(operation))]
  }

  grows(operation: OnceOperation): boolean {
    return operation.kind !== 'once.forget'
  }

  check(operation: OnceOperation, context: ApplyContext): Refusal | undefined {
    if (operation.kind !== 'once.run' || this.#live(operation.key, context.atMs) !== undefined) return undefined
    if (this.#isFull) return refusal('FULL', `${rememberedMax} keys are remembered here`, rememberedMax)
    for (const [at, inner] of operation.operations.entries()) {
      if (inner.kind === 'once.run') return refusal('INVALID', 'once.run cannot be nested')
      const refused = this.#runner.check(inner, innerContext(context, at))
      if (refused !== undefined) return refused
    }
    return undefined
  }

  execute(operation: OnceOperation, context: ApplyContext): Plain {
    const { key } = operation
    if (operation.kind === 'once.forget') {
      return isDue(this.#get(key)?.[0] ?? 0, context.atMs) && this.#forget(key)
    }
    const seen = this.#live(key, context.atMs)
    const forgetAtMs = dueAtMs(context.atMs, operation.rememberMs)
    if (operation.kind === 'once.remember') {
      if (seen !== undefined || this.#isFull) return false
      this.#remember(key, [forgetAtMs, operation.results])
      return true
    }
    if (seen !== undefined) return [true, seen[1]]
    const results = operation.operations.map((inner, at) => this.#runner.execute(inner, innerContext(context, at)))
    this.#remember(key, [forgetAtMs, results])
    return [false, results]
  }

  query({ key }: OnceQuery, atMs: number): QueryResult {
    const memory = this.#get(key)
    if (memory === undefined) return found(null)
    return isDue(memory[0], atMs) ? due({ kind: 'once.forget', key }) : found(memory[1])
  }

  index(_: string, key: string, record: Plain): void {
    this.#memories.set(key, (record as Memory)[0], null)
  }

  nextAtMs(): number | undefined {
    return this.#memories.nextMs()
  }

  due(_: number, atMs: number, countMax: number, isLocked: IsLocked): StructureOperation[] {
    const out: StructureOperation[] = []
    this.#memories.name(atMs, countMax, againMs, key => {
      if (isLocked(`once:${key}`)) return false
      out.push({ kind: 'once.forget', key })
      return true
    })
    return out
  }

  get #isFull(): boolean {
    return this.#partition.store.count(space) >= rememberedMax
  }

  #remember(key: string, memory: Memory): void {
    this.#partition.store.put(space, key, memory)
    this.#memories.set(key, memory[0], null)
  }

  #forget(key: string): boolean {
    this.#memories.delete(key)
    return this.#partition.store.delete(space, key)
  }

  #live(key: string, atMs: number): Memory | undefined {
    const memory = this.#get(key)
    return memory === undefined || isDue(memory[0], atMs) ? undefined : memory
  }

  #get(key: string): Memory | undefined {
    return this.#partition.store.get(space, key) as Memory | undefined
  }
}

/** Versions name (epoch, index, ordinal): each inner operation has an ordinal of its own. */
function innerContext(context: ApplyContext, at: number): ApplyContext {
  return { ...context, ordinal: ordinalBase * (context.ordinal + 1) + at }
}

/**
 * Aggregators' groups. Open ones lie by key, their pieces beside them by source, so that adding costs the same however
 * long a group is; a closed one is set aside under its generation, whole, until it is released in the command that hands
 * it on: once, because the record goes with it. The deadline is a field of the record, judged by the entry's time: a piece
 * that comes too late closes the group first, whether or not the owner's housekeeping got there before it.
 */
import type { Plain } from '../base/shape.ts'
import type { ApplyContext, QueryResult, Refusal } from '../replication/state-machine.ts'
import { Deadlines } from './deadlines.ts'
import type { Added, GroupOperation, GroupQuery, GroupStats, Piece } from './group-operations.ts'
import { againMs } from './leases.ts'
import type { StructureOperation } from './operations.ts'
import { positionKey } from './sequences.ts'
import { due, dueAtMs, found, isDue, pageMax, pageRefusal, refusal, refused } from './structure.ts'
import type { IsLocked, Partition, Structure } from './structure.ts'

export const keysMaxDefault = 100_000
export const piecesMaxDefault = 10_000

/** In space `group:${group}` by key. `missing`: sources still to come; `size` 0: any number; `deadlineAtMs` 0: none. */
type Open = readonly [
  generation: number,
  pieceCount: number,
  missing: readonly string[],
  size: number,
  deadlineAtMs: number,
  rememberMs: number,
]
/** In space `closed:${group}` by generation. */
type Closed = readonly [key: string, reason: string, closedAtMs: number, pieceCount: number]
/** In space `pieces:${group}` by generation and source (and id, in lists). `order` 0, 1, 2 ... in arrival. */
type Kept = readonly [source: string, id: string, body: Uint8Array, headers: Plain, order: number]
/** In space 'groups' by group: what was dropped. */
type Drops = readonly [late: number, duplicates: number]

type Add = Extract<GroupOperation, { readonly kind: 'group.add' }>
interface Address {
  readonly group: string
  readonly key: string
}

export class GroupStructure implements Structure<GroupOperation, GroupQuery> {
  readonly #partition: Partition
  readonly #deadlines = new Deadlines<string, Address>()
  readonly #memories = new Deadlines<string, Address>()

  constructor(partition: Partition) {
    this.#partition = partition
  }

  locks(subject: GroupOperation | GroupQuery): readonly string[] {
    if ('key' in subject) return [lockOf(subject)]
    return 'generation' in subject ? [`group:${subject.group}/#${subject.generation}`] : []
  }

  grows(operation: GroupOperation): boolean {
    return operation.kind === 'group.add'
  }

  check(operation: GroupOperation, { atMs }: ApplyContext): Refusal | undefined {
    if (operation.kind === 'group.add') return this.#addRefusal(operation, atMs)
    if (operation.kind !== 'group.release') return undefined
    if (this.#closed(operation.group, operation.generation) !== undefined) return undefined
    return refusal('CONFLICT', `group ${operation.group} has no closed generation ${operation.generation}`)
  }

  execute(operation: GroupOperation, context: ApplyContext): Plain {
    switch (operation.kind) {
      case 'group.add':
        return this.#add(operation, context)
      case 'group.release':
        return this.#release(operation.group, operation.generation)
      case 'group.close': {
        const open = this.#open(operation)
        if (open === undefined) return 0
        this.#close(operation, open, 'forced', context)
        return open[0]
      }
      case 'group.expire': {
        const open = this.#open(operation)
        if (open === undefined || open[0] !== operation.generation || !isDue(open[4], context.atMs)) return false
        this.#close(operation, open, 'timeout', context)
        return true
      }
      case 'group.forget': {
        const forgetAtMs = this.#forgetAtMs(operation)
        return forgetAtMs !== undefined && isDue(forgetAtMs, context.atMs) && this.#forget(operation)
      }
    }
  }

  query(query: GroupQuery, atMs: number): QueryResult {
    switch (query.kind) {
      case 'group.get': {
        const open = this.#open(query)
        if (open === undefined) return found(null)
        if (isDue(open[4], atMs)) return due(expire(query, open))
        return found([open[0], open[4], this.#pieces(query.group, open[0])])
      }
      case 'group.closed': {
        const closed = this.#closed(query.group, query.generation)
        if (closed === undefined) return found(null)
        const [key, reason, closedAtMs] = closed
        return found([key, reason, closedAtMs, this.#pieces(query.group, query.generation)])
      }
      case 'group.ready':
        return this.#ready(query.group, query.after, query.max)
      case 'group.stats':
        return found(this.#stats(query.group))
    }
  }

  index(space: string, key: string, record: Plain): void {
    const [prefix, group] = [space.slice(0, space.indexOf(':')), space.slice(space.indexOf(':') + 1)]
    if (prefix === 'group') this.#arm({ group, key }, record as Open)
    else if (prefix === 'closed') this.#partition.changes.closed.add(group)
    else if (prefix === 'remembered') this.#memories.set(nameOf({ group, key }), record as number, { group, key })
  }

  nextAtMs(): number | undefined {
    const deadlineMs = this.#deadlines.nextMs()
    const memoryMs = this.#memories.nextMs()
    return deadlineMs === undefined || (memoryMs !== undefined && memoryMs < deadlineMs) ? memoryMs : deadlineMs
  }

  due(_: number, atMs: number, countMax: number, isLocked: IsLocked): StructureOperation[] {
    const out: StructureOperation[] = []
    this.#deadlines.name(atMs, countMax, againMs, (_, address) => {
      const open = this.#open(address)
      if (open === undefined || isLocked(lockOf(address))) return false
      out.push(expire(address, open))
      return true
    })
    this.#memories.name(atMs, countMax - out.length, againMs, (_, address) => {
      if (isLocked(lockOf(address))) return false
      out.push({ kind: 'group.forget', ...address })
      return true
    })
    return out
  }

  #addRefusal(add: Add, atMs: number): Refusal | undefined {
    const { group, keysMax = keysMaxDefault, piecesMax = piecesMaxDefault } = add
    const open = this.#open(add)
    const isOver = open !== undefined && isDue(open[4], atMs)
    const isLate = isOver ? open[5] > 0 : open === undefined && this.#isRemembered(add, atMs)
    const current = isOver ? undefined : open
    const isDuplicate = current !== undefined && this.#has(add, current[0])
    if (isLate || isDuplicate) {
      return add.surplus === 'refuse' ? surplusRefusal(add, isLate ? 'late' : 'duplicate') : undefined
    }
    if (current === undefined && this.#keyCount(group) >= keysMax) {
      return refusal('FULL', `group ${group} knows ${keysMax} keys here`, keysMax)
    }
    if (current === undefined || current[1] < piecesMax) return undefined
    return refusal('FULL', `group ${group} has ${piecesMax} pieces under ${add.key}`, piecesMax)
  }

  #add(add: Add, context: ApplyContext): Added {
    let open = this.#open(add)
    if (open !== undefined && isDue(open[4], context.atMs)) {
      this.#close(add, open, 'timeout', context)
      open = undefined
    }
    if (open === undefined) {
      if (this.#isRemembered(add, context.atMs)) return this.#drop(add.group, ['late', 0, 0])
      this.#forget(add)
      open = this.#begin(add, context)
    }
    const [generation, pieceCount, missing, size, deadlineAtMs, rememberMs] = open
    if (this.#has(add, generation)) return this.#drop(add.group, ['duplicate', generation, pieceCount])
    const { source, id, body, headers = null } = add
    const piece: Kept = [source, id, body, headers, pieceCount]
    this.#partition.store.put(`pieces:${add.group}`, pieceKey(add, generation), piece)
    const stillMissing = missing.includes(source) ? missing.filter(name => name !== source) : missing
    const next: Open = [generation, pieceCount + 1, stillMissing, size, deadlineAtMs, rememberMs]
    this.#put(add, next)
    if (!isComplete(add, next)) return ['open', generation, pieceCount + 1]
    this.#close(add, next, 'complete', context)
    return ['closed', generation, pieceCount + 1]
  }

  #begin(add: Add, { atMs }: ApplyContext): Open {
    const { complete, deadlineMs, rememberMs = 0 } = add
    const missing = [...new Set(complete.each)]
    const generation = this.#partition.sequences.nextPosition()
    return [generation, 0, missing, complete.size ?? 0, dueAtMs(atMs, deadlineMs), rememberMs]
  }

  #close(address: Address, open: Open, reason: string, { atMs }: ApplyContext): void {
    const { store, changes } = this.#partition
    const [generation, pieceCount, , , , rememberMs] = open
    const closed: Closed = [address.key, reason, atMs, pieceCount]
    store.delete(`group:${address.group}`, address.key)
    this.#deadlines.delete(nameOf(address))
    store.put(`closed:${address.group}`, positionKey(generation), closed)
    if (rememberMs > 0) {
      const forgetAtMs = dueAtMs(atMs, rememberMs)
      store.put(`remembered:${address.group}`, address.key, forgetAtMs)
      this.#memories.set(nameOf(address), forgetAtMs, { group: address.group, key: address.key })
    }
    changes.closed.add(address.group)
  }

  #release(group: string, generation: number): Plain {
    const { store } = this.#partition
    if (!store.delete(`closed:${group}`, positionKey(generation))) return null
    for (const key of this.#pieceKeys(group, generation)) store.delete(`pieces:${group}`, key)
    return true
  }

  #forget(address: Address): boolean {
    this.#memories.delete(nameOf(address))
    return this.#partition.store.delete(`remembered:${address.group}`, address.key)
  }

  #drop(group: string, added: Added): Added {
    const [late, duplicates] = this.#drops(group)
    const drops: Drops = added[0] === 'late' ? [late + 1, duplicates] : [late, duplicates + 1]
    this.#partition.store.put('groups', group, drops)
    return added
  }

  #ready(group: string, after: number | undefined, max: number): QueryResult {
    const wrong = pageRefusal(max)
    if (wrong !== undefined) return refused(wrong)
    const key = after === undefined ? undefined : positionKey(after)
    const page = this.#partition.store.page(`closed:${group}`, key, max) as readonly (readonly [string, Closed])[]
    const rows = page.map(([key, closed]) => [Number(key), closed[0], closed[1], closed[2]] as const)
    return found([rows, rows.length < max ? null : (rows.at(-1)?.[0] ?? null)])
  }

  #stats(group: string): GroupStats {
    const { store } = this.#partition
    const [late, duplicates] = this.#drops(group)
    return [
      store.count(`group:${group}`),
      store.count(`closed:${group}`),
      store.count(`remembered:${group}`),
      late,
      duplicates,
    ]
  }

  #pieces(group: string, generation: number): Piece[] {
    const kept = this.#pieceKeys(group, generation).map(
      key => this.#partition.store.get(`pieces:${group}`, key) as Kept,
    )
    return kept.sort((a, b) => a[4] - b[4]).map(([source, id, body, headers]) => [source, id, body, headers] as const)
  }

  #pieceKeys(group: string, generation: number): string[] {
    const prefix = `${positionKey(generation)}/`
    const keys: string[] = []
    for (let after = prefix; ;) {
      const page = this.#partition.store.page(`pieces:${group}`, after, pageMax)
      const own = page.filter(([key]) => key.startsWith(prefix))
      keys.push(...own.map(([key]) => key))
      if (own.length < pageMax) return keys
      after = keys.at(-1) as string
    }
  }

  #has(add: Add, generation: number): boolean {
    return this.#partition.store.get(`pieces:${add.group}`, pieceKey(add, generation)) !== undefined
  }

  #isRemembered(address: Address, atMs: number): boolean {
    const forgetAtMs = this.#forgetAtMs(address)
    return forgetAtMs !== undefined && !isDue(forgetAtMs, atMs)
  }

  #forgetAtMs({ group, key }: Address): number | undefined {
    return this.#partition.store.get(`remembered:${group}`, key) as number | undefined
  }

  #keyCount(group: string): number {
    const { store } = this.#partition
    return store.count(`group:${group}`) + store.count(`closed:${group}`) + store.count(`remembered:${group}`)
  }

  #drops(group: string): Drops {
    return (this.#partition.store.get('groups', group) as Drops | undefined) ?? [0, 0]
  }

  #open({ group, key }: Address): Open | undefined {
    return this.#partition.store.get(`group:${group}`, key) as Open | undefined
  }

  #closed(group: string, generation: number): Closed | undefined {
    return this.#partition.store.get(`closed:${group}`, positionKey(generation)) as Closed | undefined
  }

  #put(address: Address, open: Open): void {
    const isNew = open[1] === 1
    this.#partition.store.put(`group:${address.group}`, address.key, open)
    if (isNew) this.#arm(address, open)
  }

  #arm({ group, key }: Address, open: Open): void {
    if (open[4] !== 0) this.#deadlines.set(nameOf({ group, key }), open[4], { group, key })
  }
}

function isComplete({ complete }: Add, [, pieceCount, missing, size]: Open): boolean {
  if (complete.each === undefined && complete.size === undefined) return false
  return missing.length === 0 && pieceCount >= size
}

function surplusRefusal({ group, key, source, id }: Add, what: string): Refusal {
  return refusal('CONFLICT', `${source} ${id} is ${what} for group ${group} under ${key}`, what)
}

function expire({ group, key }: Address, open: Open): GroupOperation {
  return { kind: 'group.expire', group, key, generation: open[0] }
}

/** A source that counts once has one place; in a list each id has one. */
function pieceKey({ source, id, lists = [] }: Add, generation: number): string {
  const place = `${positionKey(generation)}/${source.length}:${source}`
  return lists.includes(source) ? `${place}/${id}` : place
}

function lockOf({ group, key }: Address): string {
  return `group:${group}/${key}`
}

function nameOf({ group, key }: Address): string {
  return `${group.length}:${group}/${key}`
}

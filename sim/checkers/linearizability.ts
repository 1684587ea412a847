/**
 * Linearizability of one object's history: is there an order of the operations, each taking effect at one moment between
 * its call and its return, that the sequential model allows? The search of Wing & Gong (1993) with Lowe's (2017) cache of
 * (set of linearized operations, state) seen before. Objects are independent (P-compositionality, Horn & Kroening 2015),
 * so a history of many keys is checked key by key, with slices of work that double in turn: a key that is hard to prove
 * right does not hide a quick violation in another.
 *
 * An operation with unknown outcome stays open: it may take effect at any time after its call, or never. One that
 * certainly failed must be left out by the caller. A search that runs out of work is undecided, which fails a run.
 *
 * Work is counted in search steps and not in seconds, so a verdict replays.
 */
import { assert } from '../../lib/base/assert.ts'

export interface Model<State, Input, Output> {
  readonly initial: State
  /** The state after `input` answered `output`, or undefined if it can't have. `output` is undefined for unknown outcomes: any will do. */
  step(state: State, input: Input, output: Output | undefined): State | undefined
  /** Equal for equal states. */
  key(state: State): string | number
}

export interface Call<Input, Output> {
  /** Positions in the order of all calls and returns; returnedAt is Infinity for unknown outcomes. */
  readonly calledAt: number
  readonly returnedAt: number
  readonly input: Input
  readonly output: Output | undefined
}

export type Verdict = 'linearizable' | 'violated' | 'undecided'

/** One event of the doubly linked history; a call knows its return. */
class Node<Input, Output> {
  readonly id: number
  readonly call: Call<Input, Output>
  /** Of a call with a known outcome. */
  readonly returned: Node<Input, Output> | undefined
  readonly isReturn: boolean
  previous: Node<Input, Output> | undefined
  next: Node<Input, Output> | undefined

  constructor(id: number, call: Call<Input, Output>, isReturn: boolean, returned: Node<Input, Output> | undefined) {
    this.id = id
    this.call = call
    this.isReturn = isReturn
    this.returned = returned
  }
}

/** A search that can be continued. */
export class Search<State, Input, Output> {
  readonly #model: Model<State, Input, Output>
  readonly #head: Node<Input, Output>
  readonly #linearized: Uint32Array
  readonly #seen = new Map<number, { readonly linearized: Uint32Array; readonly state: number }[]>()
  readonly #states = new Map<string | number, number>()
  readonly #chosen: { readonly node: Node<Input, Output>; readonly state: State }[] = []
  #state: State
  #at: Node<Input, Output> | undefined
  // Completed operations not yet linearized: none left means done, whatever is still open.
  #remaining: number
  verdict: Verdict = 'undecided'

  constructor(model: Model<State, Input, Output>, calls: readonly Call<Input, Output>[]) {
    this.#model = model
    this.#state = model.initial
    this.#linearized = new Uint32Array((calls.length + 31) >> 5)
    this.#remaining = calls.filter(call => call.returnedAt !== Infinity).length
    this.#head = link(calls)
    this.#at = this.#head.next
    if (this.#remaining === 0) this.verdict = 'linearizable'
  }

  /** Goes on for at most `stepCount` steps. */
  run(stepCount: number): Verdict {
    for (let step = 0; step < stepCount && this.verdict === 'undecided'; step++) this.#step()
    return this.verdict
  }

  #step(): void {
    const node = this.#at
    assert(node !== undefined, 'a return bounds the search')
    if (node.isReturn) this.#back()
    else if (!this.#choose(node)) this.#at = node.next
  }

  /** Takes the call of `node` next, if the model allows and nobody has been there. */
  #choose(node: Node<Input, Output>): boolean {
    const after = this.#model.step(this.#state, node.call.input, node.call.output)
    if (after === undefined) return false
    // An open call that changes nothing is never needed.
    if (node.returned === undefined && this.#model.key(after) === this.#model.key(this.#state)) return false
    this.#flip(node.id)
    if (!this.#isNew(after)) {
      this.#flip(node.id)
      return false
    }
    this.#chosen.push({ node, state: this.#state })
    this.#state = after
    lift(node)
    if (node.returned !== undefined && --this.#remaining === 0) this.verdict = 'linearizable'
    this.#at = this.#head.next
    return true
  }

  #back(): void {
    const last = this.#chosen.pop()
    if (last === undefined) {
      this.verdict = 'violated'
      return
    }
    this.#flip(last.node.id)
    this.#state = last.state
    if (last.node.returned !== undefined) this.#remaining++
    unlift(last.node)
    this.#at = last.node.next
  }

  #flip(id: number): void {
    const word = id >> 5
    this.#linearized[word] = (this.#linearized[word] as number) ^ (1 << (id & 31))
  }

  #isNew(state: State): boolean {
    const key = this.#model.key(state)
    let interned = this.#states.get(key)
    if (interned === undefined) this.#states.set(key, (interned = this.#states.size))
    let hash = interned
    for (const word of this.#linearized) hash = Math.imul(hash ^ word, 0x01000193) ^ (hash >>> 15)
    const bucket = this.#seen.get(hash)
    if (bucket === undefined) {
      this.#seen.set(hash, [{ linearized: this.#linearized.slice(), state: interned }])
      return true
    }
    if (bucket.some(seen => seen.state === interned && isEqual(seen.linearized, this.#linearized))) return false
    bucket.push({ linearized: this.#linearized.slice(), state: interned })
    return true
  }
}

/** Decides one object. */
export function checkOne<State, Input, Output>(
  model: Model<State, Input, Output>,
  calls: readonly Call<Input, Output>[],
  stepCountMax = 20_000_000,
): Verdict {
  return new Search(model, calls).run(stepCountMax)
}

export interface KeyedVerdict<Key> {
  readonly verdict: Verdict
  /** The keys that are not linearizable, or not decided. */
  readonly keys: readonly Key[]
}

/** Decides many objects: stops at the first violation; undecided if the work runs out with a key still open. */
export function checkEach<Key, State, Input, Output>(
  model: Model<State, Input, Output>,
  histories: ReadonlyMap<Key, readonly Call<Input, Output>[]>,
  stepCountMax = 20_000_000,
): KeyedVerdict<Key> {
  let open = [...histories].map(([key, calls]) => ({ key, search: new Search(model, calls) }))
  let spent = 0
  for (let slice = 10_000; open.length > 0 && spent < stepCountMax; slice *= 2) {
    for (const { key, search } of open) {
      if (search.run(slice) === 'violated') return { verdict: 'violated', keys: [key] }
      spent += slice
    }
    open = open.filter(({ search }) => search.verdict === 'undecided')
  }
  if (open.length > 0) return { verdict: 'undecided', keys: open.map(({ key }) => key) }
  return { verdict: 'linearizable', keys: [] }
}

/** The history as a list of calls and returns in order of time, behind a head that is none. */
function link<Input, Output>(calls: readonly Call<Input, Output>[]): Node<Input, Output> {
  const events: { readonly at: number; readonly node: Node<Input, Output> }[] = []
  calls.forEach((call, id) => {
    assert(call.calledAt < call.returnedAt, 'an operation returns after it was called')
    const returned = call.returnedAt === Infinity ? undefined : new Node<Input, Output>(id, call, true, undefined)
    events.push({ at: call.calledAt, node: new Node(id, call, false, returned) })
    if (returned !== undefined) events.push({ at: call.returnedAt, node: returned })
  })
  // A call at the time of a return comes before it: concurrent when in doubt.
  events.sort((a, b) => a.at - b.at || Number(a.node.isReturn) - Number(b.node.isReturn) || a.node.id - b.node.id)
  const head = new Node<Input, Output>(-1, { calledAt: 0, returnedAt: 0 } as Call<Input, Output>, false, undefined)
  let last = head
  for (const { node } of events) {
    last.next = node
    node.previous = last
    last = node
  }
  return head
}

function lift<Input, Output>(node: Node<Input, Output>): void {
  detach(node)
  if (node.returned !== undefined) detach(node.returned)
}

function unlift<Input, Output>(node: Node<Input, Output>): void {
  if (node.returned !== undefined) attach(node.returned)
  attach(node)
}

function detach<Input, Output>(node: Node<Input, Output>): void {
  if (node.previous !== undefined) node.previous.next = node.next
  if (node.next !== undefined) node.next.previous = node.previous
}

function attach<Input, Output>(node: Node<Input, Output>): void {
  if (node.previous !== undefined) node.previous.next = node
  if (node.next !== undefined) node.next.previous = node
}

function isEqual(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

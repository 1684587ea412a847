import { describe, expect, it } from 'vitest'
import { Heap } from '../../../lib/base/heap.ts'
import { Prng } from '../../../lib/base/prng.ts'
import {
  Founding,
  foundingMessageShape,
  validateFounding,
  type FoundingInput,
  type FoundingMessage,
} from '../../../lib/membership/founding.ts'
import { recordOf } from './flock.ts'

/** Processes that look for each other; a founder's cluster is joined a while after `joinVia`. */
class Yard {
  nowMs = 0
  readonly founders: number[] = []
  readonly joins: (readonly [who: number, via: string])[] = []
  readonly reasons: string[] = []
  readonly machines = new Map<number, Founding>()
  readonly #members = new Set<number>()
  readonly #links = new Set<string>()
  readonly #queue = new Heap<() => void>()
  readonly #random: Prng
  readonly #lossRatio: number

  constructor(seed = 1, lossRatio = 0) {
    this.#random = new Prng(seed)
    this.#lossRatio = lossRatio
  }

  start(index: number, expect: number | undefined, seedCount: number): void {
    const self = recordOf(index)
    this.machines.set(index, new Founding({ self, seed: this.#random.uint32(), expect, seedCount }))
    this.give(index, { kind: 'started', self })
  }

  link(a: number, b: number): void {
    this.#links.add(`${a}-${b}`).add(`${b}-${a}`)
    const clusterOf = (index: number): string => (this.#members.has(index) ? 'c' : '')
    this.give(a, { kind: 'linkUp', record: recordOf(b), cluster: clusterOf(b) })
    this.give(b, { kind: 'linkUp', record: recordOf(a), cluster: clusterOf(a) })
  }

  stop(index: number, refused: boolean): void {
    this.machines.delete(index)
    for (const other of this.machines.keys()) {
      if (this.#links.delete(`${index}-${other}`)) {
        this.give(other, { kind: 'linkDown', member: recordOf(index).member, refused })
      }
    }
  }

  run(forMs: number): void {
    const untilMs = this.nowMs + forMs
    for (;;) {
      let [dueMs, due] = [this.#queue.peekRank() ?? Infinity, -1]
      for (const [index, machine] of this.machines) {
        if ((machine.deadline() ?? Infinity) < dueMs) [dueMs, due] = [machine.deadline() as number, index]
      }
      if (dueMs > untilMs) break
      this.nowMs = Math.max(this.nowMs, dueMs)
      if (due < 0) this.#queue.pop()?.()
      else this.give(due, { kind: 'tick' })
    }
    this.nowMs = untilMs
  }

  after(delayMs: number, callback: () => void): void {
    this.#queue.push(this.nowMs + delayMs, callback)
  }

  give(index: number, input: FoundingInput): void {
    const machine = this.machines.get(index)
    for (const effect of machine?.step({ monotonicMs: this.nowMs, wallMs: 0 }, input) ?? []) {
      switch (effect.kind) {
        case 'send':
          this.#post(index, Number(/\d+/.exec(effect.to)?.[0]), effect.message)
          break
        case 'found':
          this.founders.push(index)
          this.#members.add(index)
          break
        case 'joinVia':
          this.joins.push([index, effect.member])
          this.after(50, () => {
            this.#members.add(index)
            this.give(index, { kind: 'joined', cluster: 'c' })
          })
          break
        case 'emit':
          if (typeof effect.fields['reason'] === 'string') this.reasons.push(effect.fields['reason'])
      }
    }
  }

  get isOneCluster(): boolean {
    return this.founders.length === 1 && [...this.machines.keys()].every(index => this.#members.has(index))
  }

  #post(from: number, to: number, message: FoundingMessage): void {
    if (!this.#links.has(`${from}-${to}`) || this.#random.chance(this.#lossRatio)) return
    const raw = foundingMessageShape.pack(message)
    this.after(this.#random.between(0, 20), () => {
      if (!this.#links.has(`${from}-${to}`)) return
      this.give(to, { kind: 'received', from: recordOf(from).member, message: foundingMessageShape.unpack(raw) })
    })
  }
}

describe('expect', () => {
  it.each([
    [1, 2],
    [2, 4],
    [2, 5],
  ])('%i of %i listed addresses is refused, as two clusters could be founded', (expected, seedCount) => {
    expect(() => validateFounding({ expect: expected, seedCount })).toThrow(/not more than half/)
  })

  it.each([
    [undefined, 0],
    [undefined, 3],
    [1, 0],
    [1, 1],
    [2, 3],
    [3, 5],
  ])('%s of %i is accepted', (expected, seedCount) => {
    expect(() => validateFounding({ expect: expected, seedCount })).not.toThrow()
  })

  it.each([0, -1, 1.5, Number.NaN])('%s is no number of peers', expected => {
    expect(() => validateFounding({ expect: expected, seedCount: 0 })).toThrow(/whole number/)
  })
})

describe('founding', () => {
  it('happens at once for a process that expects nobody and lists nobody', () => {
    const yard = new Yard()
    yard.start(1, undefined, 0)
    expect(yard.founders).toEqual([1])
  })

  it('never happens before the network listens', () => {
    const machine = new Founding({ self: recordOf(1), seed: 1, seedCount: 0 })
    expect(machine.deadline()).toBeUndefined()
  })

  it('never happens by one that only joins, and it says why it waits every 5 s', () => {
    const yard = new Yard()
    yard.start(1, undefined, 1)
    yard.run(12_000)
    expect(yard.founders).toEqual([])
    expect(yard.reasons).toEqual([
      expect.stringContaining('none of the 1 listed'),
      expect.stringContaining('none of the 1 listed'),
    ])
  })

  it.each([2, 3, 4, 5])(
    'happens once among 5 processes of which %i are expected, in any order, at 20 % loss',
    expected => {
      for (let seed = 1; seed <= 100; seed++) {
        const yard = new Yard(seed, 0.2)
        const random = new Prng(seed)
        const listed = 2 * expected > 5 ? 5 : 3
        const pairs: [number, number][] = []
        for (const index of random.shuffle([0, 1, 2, 3, 4].slice(0, listed))) {
          for (const other of yard.machines.keys()) pairs.push([index, other])
          yard.start(index, expected, listed)
        }
        for (const [a, b] of random.shuffle(pairs)) yard.after(random.between(0, 500), () => yard.link(a, b))
        yard.run(10_000)
        expect(yard.founders.length).toBe(1)
        expect(yard.isOneCluster).toBe(true)
      }
    },
  )

  it('waits while one of the expected is missing, and names the count', () => {
    const yard = new Yard()
    yard.start(1, 3, 3)
    yard.start(2, 3, 3)
    yard.link(1, 2)
    yard.run(6_000)
    expect(yard.founders).toEqual([])
    expect(yard.reasons[0]).toContain('2 of 3 expected')
  })

  it('never happens when a peer that is heard belongs to a cluster: it is joined', () => {
    const yard = new Yard()
    yard.start(9, undefined, 0)
    yard.start(1, 2, 3)
    yard.start(2, 2, 3)
    yard.link(1, 9)
    yard.link(1, 2)
    yard.run(2_000)
    expect(yard.founders).toEqual([9])
    expect(yard.isOneCluster).toBe(true)
  })

  it('a promise to a founder that fell silent stands, and the wait names it', () => {
    const yard = new Yard()
    for (const index of [1, 2, 3, 4, 5]) yard.start(index, 4, 5)
    for (const index of [1, 3, 4]) yard.give(2, { kind: 'linkUp', record: recordOf(index), cluster: '' })
    const ask: FoundingMessage = { kind: 'ask', attempt: 1, expect: 4 }
    yard.give(2, { kind: 'received', from: recordOf(1).member, message: ask })
    yard.give(2, { kind: 'linkDown', member: recordOf(1).member })
    yard.link(2, 5)
    yard.link(3, 2)
    yard.link(4, 2)
    yard.run(6_000)
    expect(yard.founders).toEqual([])
    expect(yard.reasons.join()).toContain('goose-1~a, which is silent')
  })

  it('one whose founder died before it founded promises another', () => {
    const yard = new Yard()
    for (const index of [1, 2, 3]) yard.start(index, 3, 3)
    yard.link(1, 2)
    yard.give(2, { kind: 'received', from: recordOf(1).member, message: { kind: 'ask', attempt: 1, expect: 3 } })
    yard.stop(1, true)
    yard.start(4, 3, 3)
    for (const index of [2, 3]) yard.link(4, index)
    yard.link(2, 3)
    yard.run(3_000)
    expect(yard.isOneCluster).toBe(true)
  })

  it('promises that were given back do not found', () => {
    const yard = new Yard()
    yard.start(5, 3, 3)
    for (const index of [1, 6, 7]) yard.give(5, { kind: 'linkUp', record: recordOf(index), cluster: '' })
    const promise: FoundingMessage = { kind: 'promise', attempt: 1 }
    yard.give(5, { kind: 'received', from: recordOf(6).member, message: promise })
    yard.give(5, { kind: 'received', from: recordOf(1).member, message: { kind: 'ask', attempt: 1, expect: 3 } })
    yard.give(5, { kind: 'received', from: recordOf(7).member, message: promise })
    expect(yard.founders).toEqual([])
  })

  it('a different expect is declined and named', () => {
    const yard = new Yard()
    yard.start(1, 2, 2)
    yard.start(2, 3, 3)
    yard.link(1, 2)
    yard.run(1_000)
    expect(yard.founders).toEqual([])
    expect(yard.reasons[0]).toContain('goose-2 has expect 3, this process expect 2')
  })

  it('another way in is taken when the first goes', () => {
    const yard = new Yard()
    yard.start(1, undefined, 2)
    for (const index of [2, 3]) yard.give(1, { kind: 'linkUp', record: recordOf(index), cluster: 'c' })
    yard.give(1, { kind: 'linkDown', member: recordOf(2).member })
    expect(yard.joins.map(([, via]) => via)).toEqual([recordOf(2).member, recordOf(3).member])
  })
})

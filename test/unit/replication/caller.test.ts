import { describe, expect, test } from 'vitest'
import { emptyClusterState, type PartitionEntry } from '../../../lib/consensus/cluster-state.ts'
import { Caller, type CallerInput, type CallerOptions, type Settled } from '../../../lib/replication/caller.ts'
import type { Command, Outcome } from '../../../lib/replication/command.ts'
import type { ReplicationMessage } from '../../../lib/replication/messages.ts'
import type { Operation } from '../../../lib/replication/command.ts'

type Sent = Extract<ReplicationMessage, { kind: 'request' | 'query' }> & { readonly to: string }

const operation: Operation = { kind: 'toy.add' }
const done: Outcome = { kind: 'done', results: [1] }
const retry = (reason: Extract<Outcome, { kind: 'retry' }>['reason'], owner?: string): Outcome => ({
  kind: 'retry',
  reason,
  owner,
  epoch: 1,
})

/** One caller, driven by hand: what it sent since last asked, and what settled. */
class Desk {
  nowMs = 0
  readonly settled: Map<number, Settled> = new Map()
  readonly #caller: Caller
  #sent: Sent[] = []
  #nextId = 1

  constructor(options: CallerOptions = {}, owners: readonly (string | undefined)[] = ['o', 'o', 'p']) {
    this.#caller = new Caller({ member: 'm', seed: 7, options })
    this.table(...owners)
    this.session('m#1')
  }

  step(input: CallerInput): void {
    for (const effect of this.#caller.step({ monotonicMs: this.nowMs, wallMs: 0 }, input)) {
      if (effect.kind === 'send') this.#sent.push({ ...(effect.message as Sent), to: effect.to })
      else this.settled.set(effect.id, effect.outcome)
    }
  }

  table(...owners: readonly (string | undefined)[]): void {
    const partitions: PartitionEntry[] = owners.map(owner => ({
      epoch: 1,
      bornEpoch: 1,
      owner,
      backups: [],
      learners: [],
    }))
    this.step({ kind: 'table', state: { ...emptyClusterState, partitions } })
  }

  session(session: string | undefined): void {
    this.step({ kind: 'session', session, untilMonotonicMs: Infinity })
  }

  call(partition = 0, forMs = 5000): number {
    const id = this.#nextId++
    this.step({ kind: 'call', id, partition, operations: [operation], deadlineMs: this.nowMs + forMs })
    return id
  }

  ask(partition = 0, forMs = 5000): number {
    const id = this.#nextId++
    this.step({ kind: 'ask', id, partition, query: { kind: 'toy.get' }, deadlineMs: this.nowMs + forMs })
    return id
  }

  transact(partitions: readonly number[], forMs = 5000): number {
    const id = this.#nextId++
    const parts = partitions.map(partition => ({ partition, operations: [operation] }))
    this.step({ kind: 'transact', id, parts, deadlineMs: this.nowMs + forMs })
    return id
  }

  /** What was sent since, oldest first. */
  sent(): readonly Sent[] {
    const sent = this.#sent
    this.#sent = []
    return sent
  }

  reply({ id, to }: Sent, outcome: Outcome): void {
    this.step({ kind: 'received', from: to, message: { kind: 'reply', id, outcome } })
  }

  /** Lets time pass, with a tick at each deadline on the way. */
  pass(forMs: number): void {
    const untilMs = this.nowMs + forMs
    for (;;) {
      const dueMs = this.#caller.deadline()
      if (dueMs === undefined || dueMs > untilMs) break
      this.nowMs = Math.max(this.nowMs, dueMs)
      this.step({ kind: 'tick' })
    }
    this.nowMs = untilMs
  }
}

function commandOf(sent: Sent | undefined): Exclude<Command, { kind: 'barrier' }> {
  if (sent?.kind !== 'request') throw new Error('no request was sent')
  return sent.command as Exclude<Command, { kind: 'barrier' }>
}

function callOf(sent: Sent | undefined): {
  readonly session: string
  readonly sequence: number
  readonly mark: number
} {
  return (commandOf(sent) as Extract<Command, { kind: 'execute' }>).call
}

const only = (sent: readonly Sent[]): Sent => {
  expect(sent).toHaveLength(1)
  return sent[0] as Sent
}

describe('a call', () => {
  test('goes to the owner under a sequence of its own, and settles with what the owner says', () => {
    const desk = new Desk()
    const id = desk.call(2)
    const sent = only(desk.sent())
    expect(sent).toMatchObject({ to: 'p', partition: 2, command: { kind: 'execute', operations: [operation] } })
    expect(callOf(sent)).toEqual({ session: 'm#1', sequence: 1, mark: 1 })
    desk.reply(sent, done)
    expect(desk.settled.get(id)).toEqual(done)
    desk.pass(10_000)
    expect(desk.sent()).toEqual([])
  })

  test('carries the lowest unanswered sequence of its partition as mark', () => {
    const desk = new Desk()
    for (let i = 0; i < 3; i++) desk.call()
    const [first, second] = desk.sent() as [Sent, Sent]
    desk.reply(second, done)
    desk.call()
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 4, mark: 1 })
    desk.reply(first, done)
    desk.call()
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 5, mark: 3 })
    desk.call(1)
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 1, mark: 1 })
  })

  test('is sent again with the same identity while nothing is heard, at growing intervals', () => {
    const desk = new Desk()
    desk.call()
    const [first] = desk.sent()
    const atMs: number[] = []
    for (let i = 0; i < 35; i++) {
      desk.pass(100)
      for (const again of desk.sent()) {
        atMs.push(desk.nowMs)
        expect(callOf(again)).toEqual(callOf(first))
        expect(again.id).not.toBe(first?.id)
      }
    }
    expect(atMs).toEqual([200, 600, 1400, 2400, 3400])
  })

  test('moves to the new owner at once when the table names one', () => {
    const desk = new Desk()
    desk.call()
    desk.sent()
    desk.table('new', 'o', 'p')
    expect(only(desk.sent())).toMatchObject({ to: 'new', command: { call: { sequence: 1 } } })
    desk.table('new', 'x', 'p')
    expect(desk.sent()).toEqual([])
  })

  test('follows a hint at once, but not for ever', () => {
    const desk = new Desk()
    desk.call()
    desk.reply(only(desk.sent()), retry('not-owner', 'h'))
    const hinted = only(desk.sent())
    expect(hinted.to).toBe('h')
    desk.reply(hinted, retry('not-owner', 'o'))
    const back = only(desk.sent())
    expect(back.to).toBe('o')
    desk.reply(back, retry('not-owner', 'h'))
    expect(desk.sent()).toEqual([])
    desk.pass(50)
    expect(desk.sent().length).toBe(1)
  })

  test.each([
    ['not-open', 5, 50],
    ['no-lease', 5, 50],
    ['few-copies', 5, 50],
    ['busy', 5, 50],
    ['locked', 1, 20],
  ] as const)('backs off with jitter when told %s', (reason, minMs, maxMs) => {
    const desk = new Desk()
    desk.call()
    desk.reply(only(desk.sent()), retry(reason))
    desk.pass(minMs - 0.5)
    expect(desk.sent()).toEqual([])
    desk.pass(maxMs - minMs + 0.5)
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 1 })
  })

  test('is sent again soon after its link broke', () => {
    const desk = new Desk()
    desk.call()
    desk.call(2)
    desk.sent()
    desk.step({ kind: 'linkDown', member: 'o' })
    desk.pass(50)
    expect(only(desk.sent()).to).toBe('o')
  })

  test('waits its turn beyond 1,024 unanswered ones, and is refused when too many wait', () => {
    const desk = new Desk({ requests: { waitingMax: 2 } })
    for (let i = 0; i < 1026; i++) desk.call()
    const sent = desk.sent()
    expect(sent).toHaveLength(1024)
    const refused = desk.call()
    expect(desk.settled.size).toBe(0)
    desk.pass(0)
    expect(desk.settled.get(refused)).toMatchObject({ kind: 'refused', code: 'FULL' })
    desk.reply(sent[1] as Sent, done)
    expect(desk.sent()).toEqual([])
    desk.reply(sent[0] as Sent, done)
    expect(desk.sent().map(request => callOf(request))).toMatchObject([
      { sequence: 1025, mark: 3 },
      { sequence: 1026, mark: 3 },
    ])
  })

  test('beyond the limit of the member is refused', () => {
    const desk = new Desk({ callsMax: 1 })
    desk.call()
    const id = desk.ask()
    desk.pass(0)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'refused', code: 'FULL' })
  })
})

describe('at the deadline', () => {
  test('a call that was never sent is unavailable', () => {
    const desk = new Desk({}, [undefined])
    const id = desk.call(0, 300)
    desk.pass(299)
    expect(desk.settled.size).toBe(0)
    desk.pass(1)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable', message: 'partition 0 has no owner' })
  })

  test('a call of a member without a session is unavailable', () => {
    const desk = new Desk()
    desk.session(undefined)
    desk.session('m#2')
    desk.session(undefined)
    const id = desk.call(0, 300)
    expect(desk.sent()).toEqual([])
    desk.pass(300)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable', message: 'this member has no session' })
  })

  test('a call whose every sending was turned down is unavailable', () => {
    const desk = new Desk()
    const id = desk.call(0, 300)
    for (let i = 0; i < 60; i++) {
      for (const sent of desk.sent()) desk.reply(sent, retry('not-open'))
      desk.pass(5)
    }
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable' })
  })

  test('a call is indeterminate if one sending found no answer, whatever the others heard', () => {
    const desk = new Desk()
    const id = desk.call(0, 300)
    desk.sent()
    desk.table('new')
    for (let i = 0; i < 60; i++) {
      for (const sent of desk.sent()) desk.reply(sent, retry('not-open'))
      desk.pass(5)
    }
    expect(desk.settled.get(id)).toMatchObject({ kind: 'indeterminate' })
  })

  test('the sequence of a call that was given up is not used again, and the mark passes it', () => {
    const desk = new Desk()
    desk.call(0, 100)
    desk.sent()
    desk.pass(100)
    desk.call()
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 2, mark: 2 })
  })

  test('a read is unavailable: it changed nothing', () => {
    const desk = new Desk()
    const id = desk.ask(0, 100)
    expect(only(desk.sent())).toMatchObject({ kind: 'query', query: { kind: 'toy.get' } })
    desk.pass(100)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable' })
  })

  test('that has passed already nothing is sent', () => {
    const desk = new Desk()
    const id = desk.call(0, 0)
    desk.pass(0)
    expect(desk.sent()).toEqual([])
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable' })
  })
})

describe('a cancelled call', () => {
  test('settles as what is known of it, once', () => {
    const desk = new Desk()
    const sentOne = desk.call()
    const sent = only(desk.sent())
    desk.step({ kind: 'cancel', id: sentOne })
    desk.pass(0)
    expect(desk.settled.get(sentOne)).toMatchObject({ kind: 'indeterminate' })
    desk.settled.clear()
    desk.reply(sent, done)
    desk.step({ kind: 'cancel', id: sentOne })
    desk.pass(0)
    expect(desk.settled.size).toBe(0)
  })
})

describe('what an owner refuses without logging', () => {
  const full: Outcome = { kind: 'refused', code: 'GRID_FULL', message: '', operation: 0, detail: null }

  test('did not happen if it was the only sending', () => {
    const desk = new Desk()
    const id = desk.call()
    desk.reply(only(desk.sent()), full)
    expect(desk.settled.get(id)).toEqual(full)
  })

  test('is asked again while an earlier sending may have been applied', () => {
    const desk = new Desk()
    const id = desk.call()
    desk.sent()
    desk.pass(200)
    desk.reply(only(desk.sent()), full)
    expect(desk.settled.size).toBe(0)
    desk.pass(50)
    desk.reply(only(desk.sent()), done)
    expect(desk.settled.get(id)).toEqual(done)
  })
})

describe('when the session is replaced', () => {
  test('calls that may have been applied are indeterminate, others go on under the new one', () => {
    const desk = new Desk()
    const open = desk.call()
    const turnedDown = desk.call()
    const [, second] = desk.sent()
    desk.reply(second as Sent, retry('busy'))
    desk.session(undefined)
    expect(desk.settled.size).toBe(0)
    desk.session('m#2')
    expect(desk.settled.get(open)).toMatchObject({ kind: 'indeterminate' })
    const again = only(desk.sent())
    expect(callOf(again)).toEqual({ session: 'm#2', sequence: 1, mark: 1 })
    desk.reply(again, done)
    expect(desk.settled.get(turnedDown)).toEqual(done)
  })

  test('and it was only a pause, calls go on under the same one', () => {
    const desk = new Desk()
    desk.call()
    const sent = only(desk.sent())
    desk.session(undefined)
    const second = desk.call()
    desk.session('m#1')
    expect(callOf(only(desk.sent()))).toMatchObject({ session: 'm#1', sequence: 2, mark: 1 })
    desk.reply(sent, done)
    expect(desk.settled.has(second)).toBe(false)
  })

  test('reads go on', () => {
    const desk = new Desk()
    const id = desk.ask()
    const sent = only(desk.sent())
    desk.session('m#2')
    desk.reply(sent, done)
    expect(desk.settled.get(id)).toEqual(done)
  })
})

describe('a transaction', () => {
  const prepared: Outcome = { kind: 'done', results: [] }

  test('in one partition is one command', () => {
    const desk = new Desk()
    const id = desk.transact([2, 2])
    const sent = only(desk.sent())
    expect(commandOf(sent)).toMatchObject({ kind: 'execute', operations: [operation, operation] })
    desk.reply(sent, done)
    expect(desk.settled.get(id)).toEqual(done)
  })

  test('of nothing is done', () => {
    const desk = new Desk()
    const id = desk.transact([])
    expect(desk.settled.size).toBe(0)
    desk.pass(0)
    expect(desk.settled.get(id)).toEqual({ kind: 'done', results: [] })
  })

  test('prepares everywhere, then decides under its own identity at the first partition', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2])
    const prepares = desk.sent()
    const transaction = { session: 'm#1', sequence: 1, partition: 1 }
    expect(prepares.map(sent => [sent.to, commandOf(sent)])).toMatchObject([
      ['o', { kind: 'prepare', transaction, call: { sequence: 2, mark: 1 } }],
      ['p', { kind: 'prepare', transaction, call: { sequence: 1, mark: 1 } }],
    ])
    desk.reply(prepares[0] as Sent, prepared)
    expect(desk.sent()).toEqual([])
    desk.reply(prepares[1] as Sent, prepared)
    const decision = only(desk.sent())
    expect(decision).toMatchObject({ to: 'o', partition: 1 })
    expect(commandOf(decision)).toMatchObject({
      kind: 'decide',
      call: { session: 'm#1', sequence: 1, mark: 1 },
      participants: [1, 2],
      commit: true,
    })
    expect(desk.settled.size).toBe(0)
    desk.reply(decision, { kind: 'done', results: [true] })
    expect(desk.settled.get(id)).toEqual({ kind: 'done', results: [] })
  })

  test('is refused as soon as one part is, with the position the caller knows, and aborts the rest', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2, 1])
    const [first] = desk.sent() as [Sent, Sent]
    const refusal: Outcome = { kind: 'refused', code: 'CONFLICT', message: 'no', operation: 1, detail: 9 }
    desk.reply(first, refusal)
    expect(desk.settled.get(id)).toEqual({ ...refusal, operation: 2 })
    const abort = only(desk.sent())
    expect(commandOf(abort)).toMatchObject({ kind: 'decide', participants: [1, 2], commit: false })
    desk.reply(abort, { kind: 'done', results: [false] })
    desk.call(1)
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 3, mark: 3 })
    desk.call(2)
    expect(callOf(only(desk.sent()))).toMatchObject({ sequence: 2, mark: 2 })
  })

  test('that meets a held key aborts and tries again under a new identity', () => {
    const desk = new Desk()
    desk.transact([1, 2])
    const [first, second] = desk.sent() as [Sent, Sent]
    desk.reply(first, prepared)
    desk.reply(second, retry('locked'))
    expect(commandOf(only(desk.sent()))).toMatchObject({ kind: 'decide', commit: false, call: { sequence: 1 } })
    desk.pass(20)
    expect(desk.sent().map(sent => commandOf(sent))).toMatchObject([
      { kind: 'prepare', transaction: { sequence: 3 } },
      { kind: 'prepare', transaction: { sequence: 3 } },
    ])
  })

  test('that a participant had aborted tries again', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2])
    for (const sent of desk.sent()) desk.reply(sent, prepared)
    desk.reply(only(desk.sent()), { kind: 'done', results: [false] })
    expect(desk.settled.size).toBe(0)
    desk.pass(20)
    for (const sent of desk.sent()) desk.reply(sent, prepared)
    desk.reply(only(desk.sent()), { kind: 'done', results: [true] })
    expect(desk.settled.get(id)).toEqual({ kind: 'done', results: [] })
  })

  test('without an answer to its prepares is unavailable at the deadline: it was never decided', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2], 3000)
    desk.pass(3000)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable' })
  })

  test('without an answer to its decision is indeterminate at the deadline', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2], 3000)
    for (const sent of desk.sent()) desk.reply(sent, prepared)
    desk.pass(3000)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'indeterminate' })
  })

  test('whose session ends before the decision was sent begins anew under the next one', () => {
    const desk = new Desk()
    desk.transact([1, 2])
    desk.sent()
    desk.session('m#2')
    expect(desk.sent()).toEqual([])
    desk.pass(20)
    expect(commandOf(desk.sent()[0])).toMatchObject({ kind: 'prepare', transaction: { session: 'm#2', sequence: 1 } })
  })

  test('whose session ends while the decision is under way is indeterminate', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2])
    for (const sent of desk.sent()) desk.reply(sent, prepared)
    desk.session('m#2')
    expect(desk.settled.get(id)).toMatchObject({ kind: 'indeterminate' })
  })

  test('waits for another to end when too many are open, and is refused when too many wait', () => {
    const desk = new Desk({ transactions: { openMax: 1, waitingMax: 1 } })
    desk.transact([1, 2])
    const prepares = desk.sent()
    desk.transact([1, 2])
    const refused = desk.transact([1, 2])
    expect(desk.sent()).toEqual([])
    desk.pass(0)
    expect(desk.settled.get(refused)).toMatchObject({ kind: 'refused', code: 'FULL' })
    for (const sent of prepares) desk.reply(sent, prepared)
    desk.reply(only(desk.sent()), { kind: 'done', results: [true] })
    expect(desk.sent()).toHaveLength(2)
  })

  test('that is cancelled before its decision did not happen, and lets go of its keys', () => {
    const desk = new Desk()
    const id = desk.transact([1, 2])
    desk.sent()
    desk.step({ kind: 'cancel', id })
    desk.pass(0)
    expect(desk.settled.get(id)).toMatchObject({ kind: 'unavailable', message: 'cancelled' })
    expect(commandOf(only(desk.sent()))).toMatchObject({ kind: 'decide', commit: false })
  })
})

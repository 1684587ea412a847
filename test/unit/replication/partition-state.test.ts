import { describe, expect, test } from 'vitest'
import { plainBytes } from '../../../lib/base/bytes.ts'
import { emptyClusterState, type ClusterState, type MemberEntry } from '../../../lib/consensus/cluster-state.ts'
import type { Command, TransactionId } from '../../../lib/replication/command.ts'
import { PartitionState } from '../../../lib/replication/partition-state.ts'
import { openCallsMax, sessionStanding } from '../../../lib/replication/sessions.ts'
import { call, LogOf } from './log-of.ts'
import { ToyMachine, toyShape, type ToyOperation, type ToyQuery } from './toy-machine.ts'

const add = (key: string, tag: string): ToyOperation => ({ kind: 'toy.add', key, tag })
const get = (key: string): ToyQuery => ({ kind: 'toy.get', key })
const of = (session: string, sequence: number, partition = 7): TransactionId => ({ session, sequence, partition })
const prepare = (sequence: number, transaction: TransactionId, ...operations: ToyOperation[]): Command => ({
  kind: 'prepare',
  call: call(transaction.session, sequence),
  transaction,
  operations,
})
const decide = (sequence: number, commit: boolean, mark = 1): Command => ({
  kind: 'decide',
  call: call('a#1', sequence, mark),
  participants: [7, 8],
  commit,
})
const committed = { kind: 'done', results: [true] }
const aborted = { kind: 'done', results: [false] }

describe('sessions', () => {
  test('answers a retry from the record and applies it once', () => {
    const log = new LogOf()
    const first = log.execute(call('a#1', 1), add('k', 'x'))
    expect(first).toEqual({ kind: 'done', results: [[1, 1, 0, 1]] })
    expect(log.execute(call('a#1', 1), add('k', 'x'))).toEqual(first)
    expect(log.machine.tags.get('k')).toEqual(['x'])
    expect(log.state.repeatCount).toBe(1)
    expect(log.state.recorded(call('a#1', 1))).toEqual(first)
  })

  test('records a refusal: the same call is refused again even when its condition has come true', () => {
    const log = new LogOf()
    const conditional: ToyOperation = { kind: 'toy.addIf', key: 'k', tag: 'x', count: 1 }
    const refusal = log.execute(call('a#1', 1), conditional)
    expect(refusal).toMatchObject({ kind: 'refused', code: 'CONFLICT', operation: 0, detail: 0 })
    log.execute(call('b#1', 1), add('k', 'y'))
    expect(log.execute(call('a#1', 1), conditional)).toEqual(refusal)
    expect(log.machine.tags.get('k')).toEqual(['y'])
  })

  test('never applies a call below the mark, and drops the results there', () => {
    const log = new LogOf()
    log.execute(call('a#1', 1), add('k', 'x'))
    const bytes = log.state.bytes
    log.execute(call('a#1', 3, 3), add('k', 'y'))
    expect(log.execute(call('a#1', 1), add('k', 'x'))).toMatchObject({ kind: 'indeterminate' })
    expect(log.execute(call('a#1', 2), add('k', 'z'))).toMatchObject({ kind: 'indeterminate' })
    expect(log.machine.tags.get('k')).toEqual(['x', 'y'])
    expect(log.state.bytes - bytes).toBe(8 + plainBytes('y'))
  })

  test('a mark far ahead costs what is recorded, not its distance', () => {
    const log = new LogOf()
    log.execute(call('a#1', 1), add('k', 'x'))
    const far = Number.MAX_SAFE_INTEGER - 1
    expect(log.execute(call('a#1', far, far), add('k', 'y'))).toMatchObject({ kind: 'done' })
    expect(log.state.recorded(call('a#1', 1))).toBeUndefined()
  })

  test('refuses a call beyond the window without a record, and takes it once the mark has moved', () => {
    const log = new LogOf()
    const beyond = openCallsMax + 1
    expect(log.execute(call('a#1', beyond), add('k', 'x'))).toMatchObject({ kind: 'refused', code: 'TOO_MANY_OPEN' })
    expect(log.execute(call('a#1', beyond - 1), add('k', 'y'))).toMatchObject({ kind: 'done' })
    expect(log.execute(call('a#1', beyond, 2), add('k', 'x'))).toMatchObject({ kind: 'done' })
    expect(log.machine.tags.get('k')).toEqual(['y', 'x'])
  })

  test('applies nothing of an ended session, and keeps nothing of it but its name', () => {
    const log = new LogOf()
    log.execute(call('a#1', 1), { kind: 'toy.own', key: 'k' })
    log.apply({ kind: 'end-session', session: 'a#1' })
    expect(log.machine.owners.size).toBe(0)
    expect(log.execute(call('a#1', 1), add('k', 'x'))).toMatchObject({ kind: 'indeterminate' })
    expect(log.execute(call('a#1', 2), add('k', 'x'))).toMatchObject({ kind: 'indeterminate' })
    expect([...log.state.sessions()]).toEqual([])
    expect(log.state.bytes).toBe(32 + 'a#1'.length)
  })

  test('remembers a bounded number of ended sessions', () => {
    const log = new LogOf()
    for (let i = 1; i <= 3000; i++) log.apply({ kind: 'end-session', session: `m${1000 + (i % 9000)}#1` })
    expect(log.state.bytes).toBe(1024 * (32 + 'm1000#1'.length))
  })

  test('the cluster state tells the live session of a member from ended and unknown ones', () => {
    const entry = { member: 'a', session: 2 } as MemberEntry
    const state: ClusterState = { ...emptyClusterState, members: new Map([['a', entry]]), endedSessions: ['gone~1#1'] }
    expect(['a#2', 'a#1', 'a#3', 'gone~1#1', 'new~1#1'].map(session => sessionStanding(state, session))).toEqual([
      'live',
      'ended',
      'unknown',
      'ended',
      'unknown',
    ])
  })
})

describe('commands of several operations', () => {
  test('change nothing if any of them is refused, and name the one that was', () => {
    const log = new LogOf()
    const outcome = log.execute(call('a#1', 1), add('k', 'x'), { kind: 'toy.addIf', key: 'l', tag: 'y', count: 1 })
    expect(outcome).toMatchObject({ kind: 'refused', code: 'CONFLICT', operation: 1 })
    expect(log.machine.tags.size).toBe(0)
  })

  test('may change a key once, beside any checks of it', () => {
    const log = new LogOf()
    const check: ToyOperation = { kind: 'toy.check', key: 'k', count: 0 }
    expect(log.execute(call('a#1', 1), check, add('k', 'x'))).toMatchObject({ kind: 'done' })
    const twice = log.execute(call('a#1', 2), add('k', 'y'), add('l', 'y'), add('k', 'z'))
    expect(twice).toMatchObject({ kind: 'refused', code: 'INVALID', operation: 2 })
    expect(log.machine.tags.get('k')).toEqual(['x'])
  })

  test('of housekeeping are each applied for themselves', () => {
    const log = new LogOf()
    log.apply({ kind: 'maintain', operations: [{ kind: 'toy.check', key: 'k', count: 9 }, add('k', 'x')] as never })
    expect(log.machine.tags.get('k')).toEqual(['x'])
  })
})

describe('a prepared transaction', () => {
  test('holds its keys against commands, reads, other transactions and housekeeping', () => {
    const log = new LogOf()
    const locked = { kind: 'retry', reason: 'locked' }
    expect(log.apply(prepare(1, of('a#1', 1), add('k', 'x')))).toEqual({ kind: 'done', results: [] })
    expect(log.execute(call('b#1', 1), add('k', 'y'))).toMatchObject(locked)
    expect(log.apply(prepare(1, of('c#1', 1), add('l', 'y'), add('k', 'y')))).toMatchObject(locked)
    expect(log.state.query(get('k'), 1000)).toMatchObject({ kind: 'answer', outcome: locked })
    expect(log.state.query(get('l'), 1000)).toMatchObject({ kind: 'answer', outcome: { kind: 'done' } })
    log.apply({ kind: 'maintain', operations: [add('k', 'z')] })
    expect(log.machine.tags.size).toBe(0)
  })

  test('executes once on commit, and then its keys are free: a call that met it was not recorded', () => {
    const log = new LogOf()
    log.apply(prepare(1, of('a#1', 1), add('k', 'x')))
    log.execute(call('b#1', 1), add('k', 'y'))
    for (let i = 0; i < 2; i++) log.apply({ kind: 'finish', transaction: of('a#1', 1), commit: true })
    expect(log.state.isPrepared(of('a#1', 1))).toBe(false)
    expect(log.execute(call('b#1', 1), add('k', 'y'))).toMatchObject({ kind: 'done' })
    expect(log.machine.tags.get('k')).toEqual(['x', 'y'])
  })

  test('frees its own keys alone', () => {
    const log = new LogOf()
    log.apply(prepare(1, of('a#1', 8), add('k', 'x')))
    log.apply(prepare(2, of('a#1', 9), add('l', 'x')))
    log.apply({ kind: 'finish', transaction: of('a#1', 8), commit: false })
    expect(log.execute(call('b#1', 1), add('k', 'y'))).toMatchObject({ kind: 'done' })
    expect(log.execute(call('b#1', 2), add('l', 'y'))).toMatchObject({ kind: 'retry', reason: 'locked' })
  })

  test('is prepared once, under whatever call', () => {
    const log = new LogOf()
    for (const sequence of [1, 2]) {
      log.apply(prepare(sequence, of('a#1', 9), { kind: 'toy.free', key: 'k', tag: 'x' }))
    }
    log.apply({ kind: 'finish', transaction: of('a#1', 9), commit: true })
    expect(log.machine.tags.get('k')).toEqual(['x'])
    log.machine.tags.clear()
    log.apply({ kind: 'end-session', session: 'a#1' })
    expect(log.state.bytes).toBe(32 + 'a#1'.length)
  })

  test('leaves nothing on abort', () => {
    const log = new LogOf()
    log.apply({ kind: 'barrier' })
    log.apply(prepare(1, of('a#1', 9), add('k', 'x')))
    log.apply({ kind: 'finish', transaction: of('a#1', 9), commit: false })
    log.apply({ kind: 'end-session', session: 'a#1' })
    expect(log.machine.tags.size).toBe(0)
    expect(log.state.bytes).toBe(32 + 'a#1'.length)
  })

  test('is not prepared by what is refused', () => {
    const log = new LogOf()
    const outcome = log.apply(prepare(1, of('a#1', 1), { kind: 'toy.addIf', key: 'k', tag: 'x', count: 1 }))
    expect(outcome).toMatchObject({ kind: 'refused', code: 'CONFLICT' })
    expect(log.state.isPrepared(of('a#1', 1))).toBe(false)
  })

  test('executes as of the time at which it was checked', () => {
    const log = new LogOf()
    log.apply(prepare(1, of('a#1', 1), { kind: 'toy.own', key: 'k' }))
    log.atMs = 5000
    const seen: number[] = []
    const execute = log.machine.execute.bind(log.machine)
    log.machine.execute = (operation, context) => {
      seen.push(context.atMs)
      return execute(operation, context)
    }
    log.apply({ kind: 'finish', transaction: of('a#1', 1), commit: true })
    expect(seen).toEqual([1000])
  })

  test('outlives its session, which gives up what it holds only with the last of its transactions', () => {
    const log = new LogOf()
    log.execute(call('a#1', 1), { kind: 'toy.own', key: 'lock' })
    log.apply(prepare(2, of('a#1', 5), { kind: 'toy.own', key: 'k' }))
    log.apply(prepare(3, of('a#1', 6), add('l', 'x')))
    log.apply({ kind: 'end-session', session: 'a#1' })
    log.apply({ kind: 'finish', transaction: of('a#1', 5), commit: true })
    expect([...log.machine.owners.keys()]).toEqual(['lock', 'k'])
    log.restore()
    log.apply({ kind: 'finish', transaction: of('a#1', 6), commit: true })
    expect(log.machine.owners.size).toBe(0)
    expect(log.machine.tags.get('l')).toEqual(['x'])
  })

  test('asks for its decision after a while, again and again, and a new owner waits anew', () => {
    const log = new LogOf()
    log.apply(prepare(1, of('a#1', 1), add('k', 'x')))
    expect(log.state.openInquiries(999)).toEqual([])
    expect(log.state.nextDueMs(0, 1000)).toBe(1000)
    expect(log.state.openInquiries(1000)).toEqual([of('a#1', 1)])
    expect(log.state.openInquiries(1001)).toEqual([])
    expect(log.state.openInquiries(2000)).toEqual([of('a#1', 1)])
    log.state.promoted(2500)
    expect(log.machine.restartedAtMs).toBe(2500)
    expect(log.state.openInquiries(3000)).toEqual([])
    expect(log.state.openInquiries(3500)).toEqual([of('a#1', 1)])
  })
})

describe('a decision', () => {
  test('is final: an abort written for a participant is what the coordinator hears', () => {
    const log = new LogOf()
    expect(log.state.decision(of('a#1', 1))).toBeUndefined()
    expect(log.apply({ kind: 'resolve', transaction: of('a#1', 1) })).toEqual(aborted)
    expect(log.apply(decide(1, true))).toEqual(aborted)
    expect(log.state.decision(of('a#1', 1))).toBe(false)
    expect(log.state.openDecisions(0)).toEqual([])
  })

  test('is final: who asks after a commit hears of it, also when its session has ended', () => {
    const log = new LogOf()
    expect(log.apply(decide(1, true))).toEqual(committed)
    expect(log.apply({ kind: 'resolve', transaction: of('a#1', 1) })).toEqual(committed)
    expect(log.apply(decide(1, false))).toEqual(committed)
    log.apply({ kind: 'end-session', session: 'a#1' })
    log.restore()
    expect(log.state.decision(of('a#1', 1))).toBe(true)
    expect(log.apply({ kind: 'resolve', transaction: of('a#1', 1) })).toEqual(committed)
  })

  test('is abort for good once the deciding call can not be applied any more', () => {
    const log = new LogOf()
    log.execute(call('a#1', 2, 2), add('k', 'x'))
    expect(log.state.decision(of('a#1', 1))).toBe(false)
    expect(log.apply(decide(1, true))).toMatchObject({ kind: 'indeterminate' })
    expect(log.state.decision(of('a#1', 1))).toBe(false)
    log.apply({ kind: 'end-session', session: 'b#1' })
    expect(log.state.decision(of('b#1', 1))).toBe(false)
  })

  test('is sent at once and again until all have finished, and is then forgotten', () => {
    const log = new LogOf()
    log.apply(decide(1, true))
    const open = { transaction: of('a#1', 1), commit: true, participants: [7, 8] }
    expect(log.state.openDecisions(0)).toEqual([open])
    expect(log.state.openDecisions(199)).toEqual([])
    expect(log.state.acknowledge(of('a#1', 1), 7, 199)).toBeUndefined()
    expect(log.state.openDecisions(200)).toEqual([{ ...open, participants: [8] }])
    const forget = { kind: 'forget', transaction: of('a#1', 1) }
    expect(log.state.acknowledge(of('a#1', 1), 8, 300)).toEqual(forget)
    expect(log.state.due(301, 1000, 10)).toEqual([])
    expect(log.state.due(1300, 1000, 10)).toEqual([forget])
    log.apply(forget as Command)
    expect(log.state.due(9000, 1000, 10)).toEqual([])
    expect(log.state.openDecisions(9000)).toEqual([])
    expect(log.state.nextDueMs(9000, 1000)).toBeUndefined()
    expect(log.state.decision(of('a#1', 1))).toBe(true)
  })

  test('is sent to all again by a new owner', () => {
    const log = new LogOf()
    log.apply(decide(1, false))
    log.state.openDecisions(0)
    log.state.acknowledge(of('a#1', 1), 7, 1)
    log.state.promoted(50)
    expect(log.state.openDecisions(50)).toMatchObject([{ commit: false, participants: [7, 8] }])
  })
})

describe('reads', () => {
  test('ask for housekeeping first, but never for what a transaction holds', () => {
    const log = new LogOf()
    log.machine.query = () => ({ kind: 'due', operations: [add('k', 'x'), add('l', 'x')] })
    log.apply(prepare(1, of('a#1', 1), add('k', 'x')))
    expect(log.state.query(get('other'), 1000)).toEqual({ kind: 'due', operations: [add('l', 'x')] })
    log.apply(prepare(2, of('a#1', 2), add('l', 'x')))
    expect(log.state.query(get('other'), 1000)).toMatchObject({ outcome: { kind: 'retry', reason: 'locked' } })
  })
})

describe('snapshots', () => {
  test('show the moment at which they were begun', () => {
    const log = new LogOf()
    log.execute(call('a#1', 1), add('k', 'x'))
    const cursor = log.state.snapshot()
    const { hash } = log.state
    log.execute(call('a#1', 2, 2), add('k', 'y'))
    const restore = PartitionState.restore({ machine: new ToyMachine(), operationShape: toyShape })
    for (let chunk = cursor.next(1); chunk !== undefined; chunk = cursor.next(1)) restore.add(chunk)
    const state = restore.finish(0)
    expect([state.appliedIndex, state.hash, cursor.appliedIndex]).toEqual([1, hash, 1])
    expect(state.recorded(call('a#1', 1))).toMatchObject({ kind: 'done' })
    expect(state.query(get('k'), 0)).toMatchObject({ outcome: { results: [['x']] } })
  })

  test('with a missing, foreign or misplaced record never become a state', () => {
    const log = new LogOf()
    log.execute(call('a#1', 1), add('k', 'x'))
    const records = log.state.snapshot().next(1e9) ?? []
    const options = () => ({ machine: new ToyMachine(), operationShape: toyShape })
    const missing = PartitionState.restore(options())
    missing.add(records.slice(0, -1))
    expect(() => missing.finish(0)).toThrow('incomplete')
    expect(() => PartitionState.restore(options()).add(records.slice(1))).toThrow('out of order')
    expect(() => PartitionState.restore(options()).add([...records, [99]])).toThrow('known record')
    const altered = PartitionState.restore(options())
    altered.add([...records.slice(0, -1), [6, 'tags', 'k', ['x', 'y']]])
    expect(() => altered.finish(0)).toThrow('bytes')
  })
})

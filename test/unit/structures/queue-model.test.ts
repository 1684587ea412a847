/** The queue against a model that looks at every message each time. */
import fc from 'fast-check'
import { test } from 'vitest'
import type { Taken } from '../../../lib/structures/queue-operations.ts'
import { agree, bytesOf, Tape } from './tape.ts'

const options = { capacity: 8, maxAttempts: 3, backoffMinMs: 100, backoffMaxMs: 150, deadMax: 3 }
const leaseMs = 300

interface Known {
  readonly id: string
  readonly group: string | undefined
  readonly expiresAtMs: number
  readyAtMs: number
  attempt: number
  token: number
  session: string
  /** On the owner's clock; Infinity: as long as the session. */
  endMs: number
}

class Model {
  messages: Known[] = []
  dead: string[] = []

  eligible(atMs: number): Known[] {
    const eligible = this.messages.filter(
      (message, at) =>
        message.token === 0 &&
        message.readyAtMs <= atMs &&
        (message.group === undefined || !this.messages.slice(0, at).some(other => other.group === message.group)),
    )
    // Those that were delayed first, by when that ended.
    const rank = ({ readyAtMs }: Known): number => (readyAtMs === 0 ? Infinity : readyAtMs)
    return eligible.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)))
  }

  /** As the queue must: expired ones die when they are met. */
  next(atMs: number): Known | undefined {
    for (;;) {
      const [first] = this.eligible(atMs)
      if (first === undefined || first.expiresAtMs > atMs || this.dead.length >= options.deadMax) return first
      this.bury(first)
    }
  }

  bury(message: Known): void {
    this.messages = this.messages.filter(other => other !== message)
    this.dead.push(message.id)
  }

  fail(message: Known, atMs: number, delayMs: number | undefined, isDead = false): void {
    const isOver = isDead || message.attempt >= options.maxAttempts
    message.token = 0
    if (isOver && this.dead.length < options.deadMax) this.bury(message)
    else {
      const waitMs = isOver ? 150 : (delayMs ?? Math.min(150, 100 * 2 ** (message.attempt - 1)))
      message.readyAtMs = waitMs === 0 ? 0 : atMs + waitMs
    }
  }
}

type Step = (tape: Tape, model: Model, at: number) => void

const queue = 'q'
const put = fc
  .record({
    group: fc.constantFrom(undefined, 'g', 'h'),
    delayMs: fc.constantFrom(0, 70),
    expiresMs: fc.constantFrom(1e9, 1e9, 250),
  })
  .map(({ group, delayMs, expiresMs }): Step => (tape, model, at) => {
    const id = `m${at}`
    const ran = tape.attempt({
      kind: 'queue.put',
      queue,
      id,
      body: bytesOf(id),
      group,
      delayMs,
      expiresMs,
      options,
    } as never)
    agree('results' in ran, model.messages.length < options.capacity)
    if ('refused' in ran) return
    const times = { expiresAtMs: tape.atMs + expiresMs, readyAtMs: delayMs === 0 ? 0 : tape.atMs + delayMs, endMs: 0 }
    model.messages.push({ id, group, attempt: 0, token: 0, session: '', ...times })
  })
const take = fc
  .record({ max: fc.integer({ min: 1, max: 3 }), session: fc.constantFrom('a#1', 'b#1'), isTimed: fc.boolean() })
  .map(({ max, session, isTimed }): Step => (tape, model) => {
    tape.session = session
    const lease = isTimed ? { leaseMs, holder: 'time' as const } : {}
    const taken = tape.run({ kind: 'queue.take', queue, max, ...lease }) as unknown as readonly Taken[]
    for (let at = 0; at < max; at++) {
      const message = model.next(tape.atMs)
      agree(taken[at]?.[0], message?.id)
      const [, token, attempt] = taken[at] ?? []
      if (message === undefined || token === undefined) break
      agree(attempt, ++message.attempt)
      Object.assign(message, {
        token,
        session: isTimed ? '' : session,
        endMs: isTimed ? tape.monotonicMs + leaseMs : Infinity,
      })
    }
  })
const settle = fc
  .record({
    nth: fc.nat(3),
    verb: fc.constantFrom('ack', 'ack', 'nack', 'kill', 'extend'),
    delayMs: fc.constantFrom(undefined, 0),
  })
  .map(({ nth, verb, delayMs }): Step => (tape, model) => {
    const leased = model.messages.filter(({ token }) => token !== 0)
    const message = leased[nth % Math.max(1, leased.length)]
    if (message === undefined) {
      agree('refused' in tape.attempt({ kind: 'queue.ack', queue, token: 7 } as never), true)
      return
    }
    const { token } = message
    if (verb === 'ack') {
      tape.run({ kind: 'queue.ack', queue, token })
      model.messages = model.messages.filter(other => other !== message)
    } else if (verb === 'extend') {
      tape.run({ kind: 'queue.extend', queue, token })
      if (message.session === '') message.endMs = tape.monotonicMs + leaseMs
    } else {
      tape.run({ kind: 'queue.nack', queue, token, delayMs, isDead: verb === 'kill' })
      model.fail(message, tape.atMs, delayMs, verb === 'kill')
    }
    if (verb !== 'extend') agree('refused' in tape.attempt({ kind: 'queue.ack', queue, token } as never), true)
  })
const wait = fc.constantFrom(1, 70, 100, 300).map(
  (ms): Step =>
    tape =>
      tape.wait(ms),
)
const endSession = fc.constantFrom('a#1', 'b#1').map((session): Step => (tape, model) => {
  tape.end(session)
  const held = model.messages.filter(message => message.token !== 0 && message.session === session)
  for (const message of held.toSorted((a, b) => a.token - b.token)) model.fail(message, tape.atMs, 0)
})
const expireLeases = fc.constant<Step>((tape, model) => {
  const due = tape.machine
    .due(tape.monotonicMs, tape.atMs, 99, () => false)
    .filter(({ kind }) => kind === 'queue.expireLease')
  tape.maintain(due)
  const ended = model.messages.filter(({ token, endMs }) => token !== 0 && endMs <= tape.monotonicMs)
  agree(
    due.map(operation => (operation as unknown as { token: number }).token).sort((a, b) => a - b),
    ended.map(({ token }) => token).sort((a, b) => a - b),
  )
  for (const operation of due) {
    const { token } = operation as unknown as { token: number }
    const message = model.messages.find(message => message.token === token)
    if (message !== undefined) model.fail(message, tape.atMs, undefined)
  }
})
const moveOver = fc.constant<Step>((tape, model) => {
  tape.moveOver(12_345)
  for (const message of model.messages) if (Number.isFinite(message.endMs)) message.endMs = tape.monotonicMs + leaseMs
})

test('a queue does what a simple model does, over leases, failures, deaths and new owners', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: put },
    { weight: 6, arbitrary: take },
    { weight: 5, arbitrary: settle },
    { weight: 3, arbitrary: wait },
    { weight: 1, arbitrary: endSession },
    { weight: 2, arbitrary: expireLeases },
    { weight: 1, arbitrary: moveOver },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), steps => {
      const [tape, model] = [new Tape(), new Model()]
      for (const [at, step] of steps.entries()) {
        step(tape, model, at)
        const ready = model.eligible(tape.atMs).length
        const leased = model.messages.filter(({ token }) => token !== 0).length
        const stats = tape.ask({ kind: 'queue.stats', queue }) as readonly number[]
        agree([stats[0], stats[2], stats[4]], [ready, leased, model.messages.length])
        agree(tape.machine.ready(queue, tape.atMs), ready)
        agree(tape.ask({ kind: 'dead.count', dead: 'q.dead' }), model.dead.length)
      }
    }),
    { numRuns: 300 },
  )
})

/** Maps, locks, lists and groups against models of a few lines each. */
import fc from 'fast-check'
import { test } from 'vitest'
import type { Plain } from '../../../lib/base/shape.ts'
import type { Grant } from '../../../lib/structures/lock-operations.ts'
import { agree, bytesOf, readable, Tape } from './tape.ts'

const key = fc.constantFrom('a', 'b', 'c')

test('a map does what a plain map with expiry does', () => {
  const put = fc.record({
    verb: fc.constant('put'),
    key,
    ttlMs: fc.constantFrom(undefined, 10, 30),
    on: fc.constantFrom('any', 'absent', 'present', 'version'),
  })
  const other = fc.record({ verb: fc.constantFrom('delete', 'get', 'wait', 'tend', 'move'), key })
  type Step = { readonly verb: string; readonly key: string; readonly ttlMs?: number | undefined; readonly on?: string }
  fc.assert(
    fc.property(fc.array(fc.oneof<fc.Arbitrary<Step>[]>(put, other), { maxLength: 60, size: 'max' }), steps => {
      const tape = new Tape()
      const model = new Map<string, { readonly value: string; readonly version: Plain; readonly untilMs: number }>()
      const live = (key: string) => {
        const entry = model.get(key)
        return entry !== undefined && entry.untilMs > tape.atMs ? entry : undefined
      }
      for (const [at, { verb, key, ttlMs, on }] of steps.entries()) {
        if (verb === 'put') {
          const known = live(key)
          const condition = {
            any: {},
            absent: { ifAbsent: true },
            present: { ifPresent: true },
            version: { ifVersion: known?.version ?? [0, 0, 0] },
          }[on ?? 'any']
          const ran = tape.attempt({
            kind: 'map.put',
            map: 'm',
            key,
            value: bytesOf(`${at}`),
            ttlMs,
            returnPrevious: true,
            ...condition,
          } as never)
          const isAllowed = on === 'any' || (on === 'absent') === (known === undefined)
          agree('results' in ran, isAllowed)
          if ('refused' in ran) continue
          const [version, previous] = ran.results[0] as readonly [Plain, Plain]
          agree(readable(previous), known?.value ?? null)
          model.set(key, { value: `${at}`, version, untilMs: ttlMs === undefined ? Infinity : tape.atMs + ttlMs })
        } else if (verb === 'delete') {
          agree(tape.run({ kind: 'map.delete', map: 'm', key }), [live(key) !== undefined, null])
          model.delete(key)
        } else if (verb === 'wait') tape.wait(10)
        else if (verb === 'tend') tape.tend()
        else if (verb === 'move') tape.moveOver()
        const known = live(key)
        const answer = tape.ask({ kind: 'map.get', map: 'm', key }) as readonly Plain[] | null
        agree(
          answer === null ? null : readable(answer.slice(0, 2)),
          known === undefined ? null : [known.value, known.version],
        )
      }
    }),
  )
})

test('a lock is held by whoever came first among those still there', () => {
  const who = fc.constantFrom('t1', 't2', 't3', 't4')
  const step = fc.record({
    verb: fc.constantFrom('acquire', 'acquire', 'release', 'cancel', 'end', 'expire', 'wait', 'move'),
    who,
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), steps => {
      const tape = new Tape()
      let line: string[] = []
      let token = 0
      let endMs = Infinity
      const leave = (gone: string): void => {
        const wasFirst = line[0] === gone
        line = line.filter(ticket => ticket !== gone)
        if (wasFirst && line.length > 0) endMs = tape.monotonicMs + 100
      }
      for (const { verb, who } of steps) {
        tape.session = `${who}#1`
        const [first] = line
        if (verb === 'acquire') {
          if (line.length === 0) endMs = tape.monotonicMs + 100
          if (!line.includes(who)) line.push(who)
          const [, place] = tape.run({ kind: 'lock.acquire', lock: 'l', ticket: who, leaseMs: 100 }) as unknown as Grant
          agree(place, line.length === 1 && first === undefined ? 0 : line.indexOf(who))
        } else if (verb === 'release' && first !== undefined) {
          tape.run({ kind: 'lock.release', lock: 'l', token })
          leave(first)
        } else if (verb === 'cancel') {
          agree(tape.run({ kind: 'lock.cancel', lock: 'l', ticket: who }), line.includes(who))
          leave(who)
        } else if (verb === 'end') {
          tape.end(`${who}#1`)
          leave(who)
        } else if (verb === 'expire') {
          const isDue = first !== undefined && endMs <= tape.monotonicMs
          agree(tape.tend().length, isDue ? 1 : 0)
          if (isDue) leave(first)
        } else if (verb === 'wait') tape.wait(60)
        else if (verb === 'move') {
          tape.moveOver(7_000)
          endMs = tape.monotonicMs + 100
        }
        for (const ticket of ['t1', 't2', 't3', 't4']) {
          const [fence, place] = tape.ask({ kind: 'lock.poll', lock: 'l', ticket }) as unknown as Grant
          agree(place, line.indexOf(ticket))
          const isNew = ticket !== first
          agree(place === 0 ? fence > token || (!isNew && fence === token) : fence === 0, true)
          if (place === 0) token = fence
        }
      }
    }),
  )
})

test('a list does what an array does, whatever its length', () => {
  const side = fc.constantFrom('left' as const, 'right' as const)
  const step = fc.record({
    verb: fc.constantFrom('push', 'push', 'pop', 'remove', 'range', 'move'),
    side,
    count: fc.nat(150),
    from: fc.integer({ min: -200, max: 200 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25, size: 'max' }), steps => {
      const tape = new Tape()
      let model: string[] = []
      let next = 0
      for (const { verb, side, count, from } of steps) {
        if (verb === 'push') {
          const values = Array.from({ length: count + 1 }, () => `${next++ % 11}`)
          model = side === 'left' ? [...values.toReversed(), ...model] : [...model, ...values]
          agree(tape.run({ kind: 'keyspace.push', key: 'k', side, values: values.map(bytesOf) }), model.length)
        } else if (verb === 'pop') {
          const popped =
            side === 'left' ? model.slice(0, count) : model.slice(Math.max(0, model.length - count)).reverse()
          const wanted = model.length === 0 ? null : popped
          model = side === 'left' ? model.slice(count) : model.slice(0, Math.max(0, model.length - count))
          agree(readable(tape.run({ kind: 'keyspace.pop', key: 'k', side, count })), wanted)
        } else if (verb === 'remove') {
          const before = model.length
          model = model.filter(value => value !== '3')
          agree(tape.run({ kind: 'keyspace.remove', key: 'k', count: 0, value: bytesOf('3') }), before - model.length)
        } else if (verb === 'range') {
          const stop = from + count
          const wanted = model.slice(
            from < 0 ? Math.max(0, model.length + from) : from,
            stop < 0 ? Math.max(0, model.length + stop + 1) : stop + 1,
          )
          const range = tape.ask({ kind: 'keyspace.range', key: 'k', start: from, stop })
          agree(readable(range), wanted)
          const at = from < 0 ? from + model.length : from
          agree(readable(tape.ask({ kind: 'keyspace.index', key: 'k', at: from })), model[at] ?? null)
        } else tape.moveOver()
        agree(readable(tape.ask({ kind: 'keyspace.range', key: 'k', start: 0, stop: -1 })), model)
        const blocks = [...tape.machine.snapshot()].filter(([space]) => space === 'blocks')
        agree(blocks.length <= Math.ceil(model.length / 64) + 1, true)
      }
    }),
  )
})

test('elements leave the middle of a list as they leave an array, from either side', () => {
  const letter = fc.constantFrom('a', 'b', 'c', 'd')
  const list = fc.array(fc.tuple(fc.boolean(), letter), { minLength: 1, maxLength: 300, size: 'max' })
  const removal = fc.tuple(fc.integer({ min: -9, max: 9 }), letter)
  fc.assert(
    fc.property(list, fc.array(removal, { maxLength: 6 }), (pushes, removals) => {
      const tape = new Tape()
      let model: string[] = []
      for (const [isLeft, text] of pushes) {
        tape.run({ kind: 'keyspace.push', key: 'k', side: isLeft ? 'left' : 'right', values: [bytesOf(text)] })
        if (isLeft) model.unshift(text)
        else model.push(text)
      }
      for (const [count, text] of removals) {
        let left = count === 0 ? Infinity : Math.abs(count)
        const ordered = count < 0 ? model.toReversed() : model
        const kept = ordered.filter(item => item !== text || left-- <= 0)
        const before = model.length
        model = count < 0 ? kept.toReversed() : kept
        agree(tape.run({ kind: 'keyspace.remove', key: 'k', count, value: bytesOf(text) }), before - model.length)
        agree(readable(tape.ask({ kind: 'keyspace.range', key: 'k', start: 0, stop: -1 })), model)
        for (const at of [0, 63, 64, 65, -1])
          agree(readable(tape.ask({ kind: 'keyspace.index', key: 'k', at })), model.at(at) ?? null)
      }
    }),
  )
})

test('each piece of a group is released once, or reported as dropped; each group whole', () => {
  const step = fc.record({
    verb: fc.constantFrom('add', 'add', 'add', 'add', 'release', 'wait', 'tend', 'move'),
    key: fc.constantFrom('a', 'b'),
    source: fc.constantFrom('x', 'y', 'z'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), fc.constantFrom(undefined, 40), (steps, rememberMs) => {
      const tape = new Tape()
      const [accepted, released]: [string[], string[]] = [[], []]
      let drops = 0
      const release = (): void => {
        const [ready] = tape.ask({ kind: 'group.ready', group: 'g', max: 99 }) as readonly [
          readonly (readonly [number, string, string])[],
        ]
        for (const [generation, key, reason] of ready) {
          const closed = tape.ask({ kind: 'group.closed', group: 'g', generation }) as readonly Plain[]
          const pieces = closed[3] as readonly (readonly [string, string])[]
          const sources = pieces.map(([source]) => source)
          agree(closed[0], key)
          agree(new Set(sources).size, sources.length)
          agree(sources.length === 3, reason === 'complete')
          released.push(...pieces.map(([, id]) => id))
          const operation = { kind: 'group.release', group: 'g', generation } as never
          agree(tape.attempt(operation), { results: [true] })
          agree('refused' in tape.attempt(operation), true)
        }
      }
      for (const [at, { verb, key, source }] of steps.entries()) {
        if (verb === 'add') {
          const complete = { each: ['x', 'y', 'z'] }
          const piece = {
            group: 'g',
            key,
            source,
            id: `${at}`,
            body: bytesOf(''),
            complete,
            deadlineMs: 60,
            rememberMs,
          }
          const [state] = tape.run({ kind: 'group.add', ...piece }) as readonly [string]
          if (state === 'open' || state === 'closed') accepted.push(`${at}`)
          else drops++
        } else if (verb === 'release') release()
        else if (verb === 'wait') tape.wait(20)
        else if (verb === 'tend') tape.tend()
        else tape.moveOver()
      }
      tape.wait(60)
      tape.tend()
      release()
      agree(released.toSorted(), accepted.toSorted())
      const stats = tape.ask({ kind: 'group.stats', group: 'g' }) as readonly number[]
      agree([stats[0], stats[1], (stats[3] ?? 0) + (stats[4] ?? 0)], [0, 0, drops])
    }),
  )
})

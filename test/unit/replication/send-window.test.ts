import { describe, expect, it } from 'vitest'
import { SendWindow, valueBytes, type Placed } from '../../../lib/replication/send-window.ts'

interface Item extends Placed<Item> {
  readonly name: string
}

const named = (name: string): Item => ({ name, place: undefined })

describe('the window to an owner', () => {
  it('lets through what fits and holds back the rest in its order', () => {
    const [x, y, z] = [named('x'), named('y'), named('z')] as const
    const window = new SendWindow<Item>(100)
    expect([window.enter('b', x, 60), window.enter('b', y, 60), window.enter('b', z, 10)]).toEqual([true, false, false])
    expect(window.bytesTo('b')).toBe(60)
    expect(window.take('b')).toBeUndefined()
    expect(window.leave(x)).toBe('b')
    expect([window.take('b'), window.take('b'), window.take('b')]).toEqual([y, z, undefined])
    expect(window.bytesTo('b')).toBe(70)
  })

  it('lets one alone that is larger than the window', () => {
    const [huge, small] = [named('huge'), named('small')] as const
    const window = new SendWindow<Item>(100)
    expect(window.enter('b', huge, 1_000)).toBe(true)
    expect(window.enter('b', small, 1)).toBe(false)
    expect(window.take('b')).toBeUndefined()
    window.leave(huge)
    expect(window.take('b')).toBe(small)
  })

  it('lets a large one have its turn however many small ones come', () => {
    const [huge, small, first] = [named('huge'), named('small'), named('first')] as const
    const window = new SendWindow<Item>(100)
    window.enter('b', first, 10)
    expect(window.enter('b', huge, 1_000)).toBe(false)
    expect(window.enter('b', small, 1)).toBe(false)
    window.leave(first)
    expect(window.take('b')).toBe(huge)
  })

  it('counts each owner apart, and an item once however often it is sent', () => {
    const [x, y] = [named('x'), named('y')] as const
    const window = new SendWindow<Item>(100)
    window.enter('b', x, 100)
    expect(window.enter('c', y, 100)).toBe(true)
    expect(window.enter('c', x, 100)).toBe(false)
    expect(window.bytesTo('b')).toBe(0)
  })

  it('forgets what was held back and is wanted no more', () => {
    const [x, y] = [named('x'), named('y')] as const
    const window = new SendWindow<Item>(100)
    window.enter('b', x, 100)
    window.enter('b', y, 1)
    window.leave(y)
    window.leave(x)
    expect(window.take('b')).toBeUndefined()
  })

  it('takes a read for as large as reads have been lately', () => {
    const window = new SendWindow<Item>(100)
    for (let i = 0; i < 200; i++) window.replied('query', 10_000)
    expect(window.replyBytes('query')).toBeGreaterThan(2 * 9_900)
  })

  it('has room for the answer to a command of many operations after ones of few', () => {
    const window = new SendWindow<Item>(100)
    for (let i = 0; i < 200; i++) window.replied('execute', 250)
    expect(window.replyBytes('execute', 10)).toBeGreaterThan(10 * 200)
    expect(window.replyBytes('execute', 1)).toBeLessThanOrEqual(2 * 250)
  })

  it('does not take many operations for so many of the large answers that one operation brought', () => {
    const window = new SendWindow<Item>(100)
    for (let i = 0; i < 200; i++) window.replied('execute', 100_000)
    expect(window.replyBytes('execute', 256)).toBeLessThanOrEqual(2 * 100_000)
  })

  it('is empty again when all reads are answered, whatever they counted as', () => {
    const window = new SendWindow<Item>(100_000)
    const reads = Array.from({ length: 50 }, (_, at) => named(`${at}`))
    for (const [at, read] of reads.entries()) {
      window.replied('query', at * 7 + 3)
      window.enter('a', read, window.replyBytes('query'))
    }
    for (const read of reads.toReversed()) window.leave(read)
    expect(window.bytesTo('a')).toBe(0)
  })
})

describe('the size of a request', () => {
  it('is that of the values it carries', () => {
    const small = valueBytes([{ kind: 'counter.add' }])
    const put = { kind: 'map.put', value: new Uint8Array(5_000) }
    const push = { kind: 'keyspace.push', values: [new Uint8Array(300), new Uint8Array(700)] }
    expect(valueBytes([put, push]) - small).toBe(6_000)
  })
})

import { describe, expect, it } from 'vitest'
import { SendWindow, valueBytes } from '../../../lib/replication/send-window.ts'

describe('the window to an owner', () => {
  it('lets through what fits and holds back the rest in its order', () => {
    const window = new SendWindow<string>(100)
    expect([window.enter('b', 'x', 60), window.enter('b', 'y', 60), window.enter('b', 'z', 10)]).toEqual([
      true,
      false,
      false,
    ])
    expect(window.bytesTo('b')).toBe(60)
    expect(window.take('b')).toBeUndefined()
    expect(window.leave('x')).toBe('b')
    expect([window.take('b'), window.take('b'), window.take('b')]).toEqual(['y', 'z', undefined])
    expect(window.bytesTo('b')).toBe(70)
  })

  it('lets one alone that is larger than the window', () => {
    const window = new SendWindow<string>(100)
    expect(window.enter('b', 'huge', 1_000)).toBe(true)
    expect(window.enter('b', 'small', 1)).toBe(false)
    expect(window.take('b')).toBeUndefined()
    window.leave('huge')
    expect(window.take('b')).toBe('small')
  })

  it('lets a large one have its turn however many small ones come', () => {
    const window = new SendWindow<string>(100)
    window.enter('b', 'first', 10)
    expect(window.enter('b', 'huge', 1_000)).toBe(false)
    expect(window.enter('b', 'small', 1)).toBe(false)
    window.leave('first')
    expect(window.take('b')).toBe('huge')
  })

  it('counts each owner apart, and an item once however often it is sent', () => {
    const window = new SendWindow<string>(100)
    window.enter('b', 'x', 100)
    expect(window.enter('c', 'y', 100)).toBe(true)
    expect(window.enter('c', 'x', 100)).toBe(false)
    expect(window.bytesTo('b')).toBe(0)
  })

  it('forgets what was held back and is wanted no more', () => {
    const window = new SendWindow<string>(100)
    window.enter('b', 'x', 100)
    window.enter('b', 'y', 1)
    window.leave('y')
    window.leave('x')
    expect(window.take('b')).toBeUndefined()
  })

  it('takes a read for as large as reads have been lately', () => {
    const window = new SendWindow<string>(100)
    for (let i = 0; i < 200; i++) window.replied('query', 10_000)
    expect(window.replyBytes('query')).toBeGreaterThan(2 * 9_900)
  })

  it('is empty again when all reads are answered, whatever they counted as', () => {
    const window = new SendWindow<number>(100_000)
    for (let read = 0; read < 50; read++) {
      window.replied('query', read * 7 + 3)
      window.enter('a', read, window.replyBytes('query'))
    }
    for (let read = 49; read >= 0; read--) window.leave(read)
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

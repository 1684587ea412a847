/** The rules of primary-backup replication, message by message. */
import { describe, expect, test } from 'vitest'
import { get, put } from './cells.ts'
import { Fleet } from './fleet.ts'

describe('an owner alone', () => {
  test('commits at once, and answers with the result', () => {
    const fleet = new Fleet(['a'])
    fleet.found('a')
    expect(fleet.opened).toMatchObject([{ member: 'a', epoch: 1 }])
    const id = fleet.write('a', [put('x', '1')])
    fleet.settle()
    expect(fleet.answers(id)).toEqual([{ kind: 'done', results: ['1'] }])
    expect(fleet.answers(fleet.read('a', get('x')))).toEqual([{ kind: 'done', results: ['1'] }])
  })

  test('answers nothing before its store has answered', () => {
    const fleet = new Fleet(['a'])
    fleet.found('a')
    fleet.slowStores.set('a', [])
    const id = fleet.write('a', [put('x', '1')])
    fleet.settle()
    expect(fleet.said(id)).toBeUndefined()
    fleet.store('a')
    expect(fleet.said(id)).toBe('done')
  })
})

describe('an owner with backups', () => {
  test('answers only when every backup holds the command', () => {
    const fleet = new Fleet(['a', 'b', 'c'])
    fleet.found('a', ['b', 'c'])
    expect(fleet.opened).toHaveLength(1)
    const id = fleet.write('a', [put('x', '1')])
    fleet.settle(({ to }) => to !== 'c')
    expect(fleet.said(id)).toBeUndefined()
    fleet.run(150)
    expect(fleet.said(id)).toBe('done')
    fleet.run(20)
    expect(fleet.hash('b')).toBe(fleet.hash('a'))
    expect(fleet.hash('c')).toBe(fleet.hash('a'))
  })
})

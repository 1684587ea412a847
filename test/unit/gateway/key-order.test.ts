import { expect, test } from 'vitest'
import { KeyOrder } from '../../../lib/gateway/resp/key-order.ts'

/** Commands that begin when the order lets them and end when the test says. */
function bench(): {
  add: (name: string, keys: string, isWrite: boolean) => void
  end: (name: string, error?: Error) => Promise<void>
  begun: string[]
} {
  const order = new KeyOrder()
  const begun: string[] = []
  const ends = new Map<string, (error?: Error) => void>()
  return {
    begun,
    add: (name, keys, isWrite) => {
      const begin = (): Promise<void> => {
        begun.push(name)
        return new Promise((resolve, reject) =>
          ends.set(name, error => (error === undefined ? resolve() : reject(error))),
        )
      }
      order.run(keys.split(','), isWrite, begin).catch(() => undefined)
    },
    end: async (name, error) => {
      ends.get(name)?.(error)
      await new Promise(setImmediate)
    },
  }
}

test('commands on different keys begin at once', () => {
  const { add, begun } = bench()
  add('a', 'x', true)
  add('b', 'y', true)
  expect(begun).toEqual(['a', 'b'])
})

test('writes of one key follow each other, reads between them run together', async () => {
  const { add, end, begun } = bench()
  add('write 1', 'x', true)
  add('read 1', 'x', false)
  add('read 2', 'x', false)
  add('write 2', 'x', true)
  expect(begun).toEqual(['write 1'])
  await end('write 1')
  expect(begun).toEqual(['write 1', 'read 1', 'read 2'])
  await end('read 2')
  expect(begun).toHaveLength(3)
  await end('read 1')
  expect(begun).toEqual(['write 1', 'read 1', 'read 2', 'write 2'])
})

test('a command on several keys waits for all of them, and they for it', async () => {
  const { add, end, begun } = bench()
  add('x', 'x', true)
  add('y', 'y', true)
  add('both', 'x,y,x', true)
  add('x again', 'x', false)
  await end('x')
  expect(begun).toEqual(['x', 'y'])
  await end('y')
  expect(begun).toEqual(['x', 'y', 'both'])
  await end('both')
  expect(begun).toEqual(['x', 'y', 'both', 'x again'])
})

test('a command that failed holds nobody up', async () => {
  const { add, end, begun } = bench()
  add('a', 'x', true)
  add('b', 'x', true)
  await end('a', new Error('no'))
  expect(begun).toEqual(['a', 'b'])
})

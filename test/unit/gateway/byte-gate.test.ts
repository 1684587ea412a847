import { expect, test } from 'vitest'
import { UnavailableError } from '../../../lib/base/errors.ts'
import { ByteGate } from '../../../lib/gateway/byte-gate.ts'
import { MemberGrid } from '../../../lib/grid/grid.ts'
import { VirtualEnv } from '../grid/virtual-env.ts'

const half = 512 * 1024

function bench(): {
  env: VirtualEnv
  begun: string[]
  pass: (name: string, bytes: number) => Promise<string>
  end: (name: string) => Promise<void>
} {
  const env = new VirtualEnv()
  const gate = new ByteGate(new MemberGrid({ env, name: 'goose-1' }))
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const begin = (name: string): Promise<string> => {
    begun.push(name)
    return new Promise(resolve => ends.set(name, () => resolve(name)))
  }
  return {
    env,
    begun,
    pass: (name, bytes) => gate.pass(bytes, () => begin(name)),
    end: async name => {
      ends.get(name)?.()
      await env.settle()
    },
  }
}

test('lets small values pass together, and holds back what is too much in order of arrival', async () => {
  const { begun, pass, end } = bench()
  const all = [pass('a', 1), pass('b', half), pass('c', half), pass('d', 1)]
  expect(begun).toEqual(['a', 'b'])
  await end('a')
  expect(begun).toEqual(['a', 'b'])
  await end('b')
  expect(begun).toEqual(['a', 'b', 'c', 'd'])
  await end('c')
  await end('d')
  expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd'])
})

test('lets a value beyond its room pass alone', async () => {
  const { begun, pass, end } = bench()
  const all = [pass('large', 100 * half), pass('small', 1)]
  expect(begun).toEqual(['large'])
  await end('large')
  await end('small')
  expect(await Promise.all(all)).toEqual(['large', 'small'])
})

test('refuses who waited too long, and lets those behind pass', async () => {
  const { env, begun, pass } = bench()
  void pass('stuck', half)
  const refused = pass('too large', 2 * half).catch((error: unknown) => error)
  await env.advance(1_000)
  void pass('behind', 1)
  await env.advance(4_000)
  expect(await refused).toBeInstanceOf(UnavailableError)
  expect(begun).toEqual(['stuck', 'behind'])
})

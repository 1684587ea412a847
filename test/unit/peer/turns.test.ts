import { expect, test } from 'vitest'
import { Turns } from '../../../lib/peer/turns.ts'
import { VirtualEnv } from '../grid/virtual-env.ts'

/** One machine that is due every 100 ms, and what it and the network did, in order. */
function setUp() {
  const env = new VirtualEnv()
  const log: string[] = []
  let dueMs = env.monotonicMs + 100
  const machine = { deadline: () => dueMs }
  const tick = (): void => {
    log.push(`tick ${env.monotonicMs - 1_000}`)
    dueMs += 100
  }
  const turns = new Turns(env, [{ machine, tick }], () => undefined)
  turns.start()
  const message = (text: string): void => turns.input(() => void log.push(text))
  return { env, log, message }
}

test('a machine is stepped when it is due, and inputs before the ticks of their turn', async () => {
  const { env, log, message } = setUp()
  message('first')
  await env.advance(100)
  expect(log).toEqual(['first', 'tick 100'])
})

test('after a stall what waited at the sockets is folded before any machine hears how late it is', async () => {
  const { env, log, message } = setUp()
  message('first')
  await env.settle()
  env.stall(250, () => message('sent meanwhile'))
  await env.settle()
  expect(log).toEqual(['first', 'sent meanwhile', 'tick 350', 'tick 350', 'tick 350'])
})

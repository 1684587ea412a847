import { beforeEach, describe, expect, test } from 'vitest'
import { RefusalLog, type Refused } from '../../../lib/base/refusal-log.ts'
import { VirtualEnv } from '../transport/virtual-env.ts'

describe('the log of what a port refuses', () => {
  let env: VirtualEnv
  let log: RefusalLog
  const refused = (over: Partial<Refused> = {}): Refused => ({
    from: '10.0.0.7:5000',
    code: 'malformed',
    reason: 'this is not HTTP',
    remedy: 'speak HTTP',
    ...over,
  })
  const lines = (): readonly unknown[] => env.emitted.map(({ fields }) => fields['reason'])

  beforeEach(() => {
    env = new VirtualEnv()
    log = new RefusalLog(env, { event: 'http.refused', door: 'HTTP door', causesMax: 3 })
  })

  test('says which door, who, what was wrong and what to do', () => {
    log.tell(refused())
    expect(env.emitted).toEqual([
      {
        kind: 'emit',
        level: 'warn',
        event: 'http.refused',
        fields: {
          door: 'HTTP door',
          from: '10.0.0.7:5000',
          code: 'malformed',
          reason: 'this is not HTTP',
          remedy: 'speak HTTP',
        },
      },
    ])
  })

  test('tells a cause of one host once a minute, whatever its port and words, then how many more there were', async () => {
    for (let port = 1; port <= 1_000; port++) log.tell(refused({ from: `10.0.0.7:${port}`, reason: `bad ${port}` }))
    expect(lines()).toEqual(['bad 1'])
    await env.advance(60_000)
    expect(lines()).toEqual(['bad 1', 'refused 999 more times within a minute'])
    expect(env.emitted[1]?.fields).toMatchObject({ from: '10.0.0.7', code: 'malformed', more: 999 })
    log.tell(refused({ reason: 'again' }))
    expect(lines()).toHaveLength(3)
    await env.advance(60_000)
    expect(lines()).toHaveLength(3)
  })

  test('tells another cause, another host and another proven peer', () => {
    log.tell(refused())
    log.tell(refused({ code: 'too-large' }))
    log.tell(refused({ from: '[::1]:5000' }))
    expect(lines()).toHaveLength(3)
    log = new RefusalLog(env, { event: 'network.refused', door: 'peer port' })
    log.tell(refused({ who: 'a' }))
    log.tell(refused({ who: 'b' }))
    log.tell(refused({ who: 'b' }))
    expect(lines()).toHaveLength(5)
  })

  test('counts what is over its limit of causes together', async () => {
    for (let host = 0; host < 500; host++) log.tell(refused({ from: `10.0.1.${host}:1` }))
    expect(lines()).toHaveLength(4)
    expect(lines()[3]).toContain('only counted')
    await env.advance(60_000)
    expect(env.emitted).toHaveLength(5)
    expect(env.emitted[4]?.fields).toMatchObject({ from: 'elsewhere', more: 496 })
  })

  test('tells the open counts when it closes, and nothing after that', async () => {
    log.tell(refused())
    log.tell(refused())
    log.close()
    log.tell(refused())
    await env.advance(120_000)
    expect(lines()).toEqual(['this is not HTTP', 'refused 1 more times within a minute'])
  })
})

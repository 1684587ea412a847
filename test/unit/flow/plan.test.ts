import { describe, expect, it } from 'vitest'
import { http } from '../../../lib/connectors/http/http.ts'
import { log } from '../../../lib/connectors/log-target.ts'
import { queue } from '../../../lib/connectors/queue-target.ts'
import { timer } from '../../../lib/connectors/timer.ts'
import { flow } from '../../../lib/flow/builder.ts'
import type { Plan } from '../../../lib/flow/plan.ts'

const start = (): ReturnType<ReturnType<typeof flow>['from']> => flow('f').from(timer('5s'))

function stages({ stages, steps }: Plan): readonly string[] {
  return stages.map(({ name, first }) => `${name}>${first === undefined ? '' : steps[first]?.node.name}`)
}

describe('a plan', () => {
  it('has the same version for the same text, and another for any other', () => {
    const made = (limit: number): Plan =>
      start()
        .filter(m => m.attempt < 5)
        .stage('s', { capacity: limit })
        .to(log()).plan
    expect(made(10).version).toBe(made(10).version)
    expect(made(10).version).not.toBe(made(11).version)
    expect(
      start()
        .filter(m => m.attempt < 5)
        .to(log()).plan.version,
    ).not.toBe(
      start()
        .filter(m => m.attempt < 6)
        .to(log()).plan.version,
    )
    expect(made(10).version).toMatch(/^[0-9a-f]{12}$/)
  })

  it('begins a stage where one is written, where a receiver precedes what reaches outside, and at each further target', () => {
    const { plan } = start()
      .idempotentReceiver({ by: m => m.id })
      .to(log('a'), 'a')
      .to(log('b'), 'b')
      .stage('last')
      .to(queue('q'), 'c')
      .to(log('d'), 'd')
    expect(stages(plan)).toEqual(['in>idempotent-receiver', 'before-a>a', 'before-b>b', 'last>c'])
  })

  it('gives a retry to the stage that it stands in', () => {
    const { plan } = start()
      .filter(() => true)
      .stage('one')
      .retry({ attempts: 2 })
      .stage('two')
      .retry({ attempts: 3, backoff: ['1s', '2s'] })
      .to(log())
    expect(plan.stages.map(({ retry }) => retry.attempts)).toEqual([10, 2, 3])
    expect(plan.stages[2]?.retry).toEqual({ attempts: 3, backoffMinMs: 1_000, backoffMaxMs: 2_000 })
  })

  it('is frozen', () => {
    const { plan } = start().to(log())
    expect(Object.isFrozen(plan)).toBe(true)
    expect(Object.isFrozen(plan.steps[0])).toBe(true)
  })

  it.each<readonly [string, () => unknown, string]>([
    ['a name that is no name', () => flow('a b'), "'a b' cannot name a flow"],
    ['no source', () => flow('f').from({}), 'flow f has no source'],
    ['no steps', () => start().plan, 'flow f does nothing with its messages'],
    ['a stage named twice', () => start().stage('s').stage('s').to(log()).plan, "two steps are named 's'"],
    ['a stage of no capacity', () => start().stage('s', { capacity: 0 }), 'stage s: capacity is 0'],
    ['no attempts', () => start().retry({ attempts: 0 }), 'retry: attempts is 0'],
    ['a back-off upside down', () => start().retry({ backoff: ['2s', '1s'] }), 'the first back-off is longer'],
    ['a duration that is none', () => start().retry({ backoff: ['x' as '1s', '1s'] }), "'x' is not a duration"],
    ['a path that is none', () => http.post('deliveries'), "the path 'deliveries' does not begin with '/'"],
    ['a timer too fast', () => timer('1ms'), 'timer: at most once in 10 ms'],
    [
      'a source that does not come here',
      () => start().aggregator('a', { by: () => 1, complete: { each: ['out' as 'in'] }, merge: () => 1 }),
      "a: no message that comes here has source 'out'; in do",
    ],
  ])('refuses %s', (_, make, message) => {
    expect(make).toThrow(message)
  })
})

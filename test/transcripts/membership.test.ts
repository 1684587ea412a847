/** What one cluster of three says of its members, as a transcript. `vitest -u` rewrites it: read the difference. */
import { describe, expect, it } from 'vitest'
import { Flock } from '../unit/membership/flock.ts'

/** One line per change: to the tenth of a second, who, of whom, what. */
function transcript(flock: Flock, fromMs: number): string {
  return flock.changes
    .filter(({ atMs }) => atMs >= fromMs)
    .map(({ atMs, at, of, status }) => `${((atMs - fromMs) / 1_000).toFixed(1)} s  goose-${at}: goose-${of} ${status}`)
    .join('\n')
}

function three(): Flock {
  const flock = new Flock({ seed: 7 })
  flock.start(0)
  flock.start(1, 0)
  flock.start(2, 0)
  flock.run(5_000)
  return flock
}

describe('a cluster of three', () => {
  it('meets through one seed', () => {
    expect(transcript(three(), 0)).toMatchInlineSnapshot(`
      "0.0 s  goose-1: goose-0 alive
      0.0 s  goose-0: goose-1 alive
      0.0 s  goose-2: goose-0 alive
      0.0 s  goose-0: goose-2 alive
      0.0 s  goose-2: goose-1 alive
      0.0 s  goose-1: goose-2 alive"
    `)
  })

  it('loses one to SIGKILL', () => {
    const flock = three()
    flock.kill(2)
    flock.run(10_000)
    expect(transcript(flock, 5_000)).toMatchInlineSnapshot(`
      "0.0 s  goose-0: goose-2 gone
      0.0 s  goose-1: goose-2 gone"
    `)
  })

  it('sees one freeze for 20 s and wake', () => {
    const flock = three()
    flock.pause(2)
    flock.after(20_000, () => flock.wake(2))
    flock.run(40_000)
    expect(transcript(flock, 5_000)).toMatchInlineSnapshot(`
      "1.1 s  goose-1: goose-2 suspect
      1.1 s  goose-0: goose-2 suspect
      3.5 s  goose-1: goose-2 silent
      3.5 s  goose-0: goose-2 silent
      20.0 s  goose-0: goose-2 alive
      20.0 s  goose-1: goose-2 alive"
    `)
  })

  it('is cut in two for 10 s', () => {
    const flock = three()
    flock.cut((a, b) => a === 2 || b === 2)
    flock.after(10_000, () => flock.heal(true))
    flock.run(30_000)
    expect(transcript(flock, 5_000)).toMatchInlineSnapshot(`
      "0.7 s  goose-2: goose-1 suspect
      1.1 s  goose-1: goose-2 suspect
      1.1 s  goose-0: goose-2 suspect
      1.9 s  goose-2: goose-0 suspect
      3.5 s  goose-1: goose-2 silent
      3.5 s  goose-0: goose-2 silent
      7.9 s  goose-2: goose-1 silent
      9.1 s  goose-2: goose-0 silent
      10.0 s  goose-0: goose-1 suspect
      10.0 s  goose-1: goose-0 alive
      10.0 s  goose-2: goose-0 alive
      10.0 s  goose-1: goose-2 alive
      10.0 s  goose-0: goose-1 alive
      10.0 s  goose-0: goose-2 alive
      10.0 s  goose-2: goose-1 alive"
    `)
  })

  it('lets one leave', () => {
    const flock = three()
    flock.give(2, { kind: 'leave' })
    flock.after(20, () => flock.vanish(2))
    flock.run(10_000)
    expect(transcript(flock, 5_000)).toMatchInlineSnapshot(`
      "0.0 s  goose-1: goose-2 left
      0.0 s  goose-0: goose-2 left"
    `)
  })
})

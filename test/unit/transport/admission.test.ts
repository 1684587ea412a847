import { describe, expect, test } from 'vitest'
import { MalformedError } from '../../../lib/base/errors.ts'
import { Admission, type AdmissionParties, type AdmissionStep } from '../../../lib/transport/admission.ts'

const helloOf = (name: string) => () => Buffer.from(`hello of ${name}`)

function parties(over: Partial<AdmissionParties> = {}): { dialer: AdmissionParties; dialed: AdmissionParties } {
  const dialer = {
    secret: 'grey lag',
    localPeer: 'A',
    remotePeer: 'B',
    isDialer: true,
    nonce: new Uint8Array(32).fill(1),
    ...over,
  }
  return {
    dialer,
    dialed: { secret: 'grey lag', localPeer: 'B', remotePeer: 'A', isDialer: false, nonce: new Uint8Array(32).fill(2) },
  }
}

/** Carries frames between two ends until both are quiet; says what each end learnt, and the frames in order. */
function run(one: Admission, other: Admission): { learnt: [string[], string[]]; frames: string[] } {
  const learnt: [string[], string[]] = [[], []]
  const frames: string[] = []
  const queue: { to: 0 | 1; step: AdmissionStep }[] = [
    ...one.begin().map(step => ({ to: 1 as const, step })),
    ...other.begin().map(step => ({ to: 0 as const, step })),
  ]
  const ends = [one, other]
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { to, step } = next
    if (step.kind !== 'send') {
      learnt[1 - to]?.push(step.kind === 'admitted' ? Buffer.from(step.hello).toString() : 'refused')
      continue
    }
    frames.push(`${to === 1 ? 'dialer' : 'dialed'} ${step.frame}`)
    for (const answer of (ends[to] as Admission).receive(step.frame, step.body))
      queue.push({ to: to === 1 ? 0 : 1, step: answer })
  }
  return { learnt, frames }
}

describe('admission', () => {
  test('admits two that hold the same secret; the end that dialed proves itself first', () => {
    const { dialer, dialed } = parties()
    const { learnt, frames } = run(new Admission(dialer, helloOf('A')), new Admission(dialed, helloOf('B')))
    expect(learnt).toEqual([['hello of B'], ['hello of A']])
    expect(frames).toEqual([
      'dialer nonce',
      'dialed nonce',
      'dialer proof',
      'dialed proof',
      'dialed hello',
      'dialer hello',
    ])
  })

  test.each<[string, Partial<AdmissionParties>]>([
    ['another secret', { secret: 'grey leg' }],
    ['no secret', { secret: '' }],
    ['another key than the wire proved', { localPeer: 'C' }],
    ['a proof meant for another peer', { remotePeer: 'C' }],
  ])('tells nothing to a dialer with %s', (_, over) => {
    const { dialer, dialed } = parties(over)
    const { learnt, frames } = run(new Admission(dialer, helloOf('A')), new Admission(dialed, helloOf('B')))
    expect(learnt).toEqual([[], ['refused']])
    expect(frames).not.toContain('dialed proof')
    expect(frames).not.toContain('dialed hello')
  })

  test('refuses a proof reflected to the one who made it', () => {
    const { dialer } = parties()
    const honest = new Admission(dialer, helloOf('A'))
    honest.begin()
    // the attacker, being dialed, echoes the nonce and then the proof
    const [step] = honest.receive('nonce', dialer.nonce)
    if (step?.kind !== 'send') throw new Error('no proof')
    expect(honest.receive('proof', step.body)).toEqual([{ kind: 'refused' }])
  })

  test('refuses a proof replayed from another connection of the same two', () => {
    const { dialer, dialed } = parties()
    const first = new Admission(dialer, helloOf('A'))
    const [proof] = first.receive('nonce', dialed.nonce)
    if (proof?.kind !== 'send') throw new Error('no proof')
    const later = new Admission({ ...dialed, nonce: new Uint8Array(32).fill(3) }, helloOf('B'))
    later.receive('nonce', dialer.nonce)
    expect(later.receive('proof', proof.body)).toEqual([{ kind: 'refused' }])
  })

  test('throws on frames out of turn', () => {
    const fresh = (): Admission => new Admission(parties().dialed, helloOf('B'))
    expect(() => fresh().receive('hello', Buffer.from('x'))).toThrow(MalformedError)
    expect(() => fresh().receive('proof', new Uint8Array(32))).toThrow(MalformedError)
    expect(() => fresh().receive('whole', new Uint8Array(1))).toThrow("frame 'whole' before admission")
    expect(() => fresh().receive('nonce', new Uint8Array(31))).toThrow(MalformedError)
    const twice = fresh()
    twice.receive('nonce', new Uint8Array(32))
    expect(() => twice.receive('nonce', new Uint8Array(32))).toThrow(MalformedError)
    expect(twice.receive('proof', new Uint8Array(5))).toEqual([{ kind: 'refused' }])
  })
})

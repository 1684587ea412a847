import { describe, expect, it } from 'vitest'
import {
  childOf,
  decodeEnvelope,
  encodeEnvelope,
  messageOf,
  withBody,
  type Envelope,
} from '../../../lib/flow/envelope.ts'
import { values } from '../../../lib/grid/values.ts'

const envelope: Envelope = {
  v: 1,
  id: 'm1',
  source: 'head',
  params: { id: 'd1' },
  body: { event: 'push' },
  contentType: 'application/json',
  headers: { traceparent: '00-1-2-01' },
  acceptedAt: 5,
  flow: 'deliveries',
  version: '3f9c',
  step: 'in',
  parents: [],
}

describe('an envelope', () => {
  it('comes back as it went', () => {
    expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual(envelope)
  })

  it('carries on what this version does not know, at every hop', () => {
    const newer = { ...envelope, priority: 7 } as Envelope
    const hop = withBody(decodeEnvelope(encodeEnvelope(newer)), 'next')
    const child = childOf(decodeEnvelope(encodeEnvelope(hop)), 2, 'part')
    expect(decodeEnvelope(encodeEnvelope(child))).toMatchObject({
      priority: 7,
      id: 'm1/2',
      parents: ['m1'],
      body: 'part',
    })
  })

  it('is refused if it is of a version to come, or none at all', () => {
    expect(() => decodeEnvelope(encodeEnvelope({ ...envelope, v: 2 }))).toThrow('envelope version 2, this peer knows 1')
    expect(() => decodeEnvelope(values().encode('text'))).toThrow('has no envelope')
  })

  it('shows a step the delivery it is part of', () => {
    expect(messageOf(envelope, 'store', { attempt: 3, lastError: 'down' })).toMatchObject({
      id: 'm1',
      step: 'store',
      attempt: 3,
      lastError: 'down',
      correlation: undefined,
    })
  })
})

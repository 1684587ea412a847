import { expect, test } from 'vitest'
import { list, record, string } from '../../../lib/base/shape.ts'
import { codec } from '../../../lib/transport/codec.ts'
import { bodyLengthMax, CodedNetwork } from '../../../lib/transport/coded-network.ts'
import { MemoryHub } from '../../../lib/transport/memory-hub.ts'
import { MeshNetwork } from '../../../lib/transport/mesh.ts'
import type { NetworkListener } from '../../../lib/transport/network.ts'
import { VirtualEnv } from './virtual-env.ts'

interface Word {
  readonly text: string
}

const words = codec(list(record<Word>({ text: string }), bodyLengthMax))
const nothing = (): void => undefined

test('a coded network moves messages, and drops the link of who sends what does not decode', async () => {
  const env = new VirtualEnv()
  const hub = new MemoryHub()
  const mesh = (name: string): MeshNetwork => {
    const hello = () => ({
      cluster: '',
      member: name,
      name,
      holdsData: true,
      memoryBytes: 1,
      versionMin: 1,
      versionMax: 1,
    })
    return new MeshNetwork({ env, wires: hub.wires(), hello, entropy: count => new Uint8Array(count).fill(1) })
  }
  const log: string[] = []
  const silent = { linkUp: nothing, linkDown: nothing, laneReset: nothing, refused: nothing, heard: nothing }
  const listener: NetworkListener<Word> = {
    ...silent,
    message: (from, lane, word) => log.push(`${from} ${lane} ${word.text}`),
    linkDown: (member, down) => log.push(`down ${member}: ${down.reason}`),
  }
  const bytes = mesh('a~1')
  const near = new CodedNetwork(env, bytes, words)
  const far = new CodedNetwork(env, mesh('b~1'), words)
  await near.start({ ...silent, message: nothing })
  await far.start(listener)
  near.connect({ addresses: far.self.addresses })
  await env.rest()
  near.send('b~1', 'data', { text: 'honk' })
  bytes.send('b~1', 'control', Uint8Array.of(0x91, 0x93, 1, 2, 3))
  bytes.send('b~1', 'bulk', words.encode([{ text: 'too late' }]))
  await env.rest()
  expect(log).toEqual(['down a~1: a~1 sent a message that is not understood: [0].text: expected a string'])
  await env.advance(1_000)
  near.send('b~1', 'data', { text: 'honk again' })
  await env.rest()
  expect(log.slice(1)).toEqual(['a~1 data honk again'])
  await Promise.all([near.stop(), far.stop()])
})

test('what goes to one member in one turn travels as one body, in order, and in several where that would be long', () => {
  const turns: (() => void)[] = []
  const bodies: string[] = []
  const bytes = { send: (member: string, lane: string, body: Uint8Array) => bodies.push(bodyOf(member, lane, body)) }
  const bodyOf = (member: string, lane: string, body: Uint8Array): string =>
    `${member} ${lane} ${words
      .decode(body)
      .map(({ text }) => (text.length > 9 ? text.length : text))
      .join()}`
  const network = new CodedNetwork({ turn: act => turns.push(act) }, bytes as unknown as MeshNetwork, words)
  const send = (member: string, lane: 'data' | 'control', text: string): void => network.send(member, lane, { text })
  send('b', 'data', 'one')
  send('c', 'data', 'two')
  send('b', 'data', 'three')
  send('b', 'control', 'at once')
  expect(bodies).toEqual(['b control at once'])
  for (const act of turns.splice(0)) act()
  expect(bodies.splice(0)).toEqual(['b control at once', 'b data one,three', 'c data two'])
  for (const each of ['a', 'x'.repeat(600_000), 'y'.repeat(600_000), 'z']) send('b', 'data', each)
  for (const act of turns.splice(0)) act()
  expect(bodies).toEqual(['b data a,600000', 'b data 600000,z'])
})

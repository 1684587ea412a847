import { expect, test } from 'vitest'
import { record, string } from '../../../lib/base/shape.ts'
import { codec } from '../../../lib/transport/codec.ts'
import { CodedNetwork } from '../../../lib/transport/coded-network.ts'
import { MemoryHub } from '../../../lib/transport/memory-hub.ts'
import { MeshNetwork } from '../../../lib/transport/mesh.ts'
import type { NetworkListener } from '../../../lib/transport/network.ts'
import { VirtualEnv } from './virtual-env.ts'

interface Word {
  readonly text: string
}

const words = codec(record<Word>({ text: string }))
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
  const near = new CodedNetwork(bytes, words)
  const far = new CodedNetwork(mesh('b~1'), words)
  await near.start({ ...silent, message: nothing })
  await far.start(listener)
  near.connect({ addresses: far.self.addresses })
  await env.rest()
  near.send('b~1', 'data', { text: 'honk' })
  bytes.send('b~1', 'control', Uint8Array.of(0x93, 1, 2, 3))
  bytes.send('b~1', 'bulk', words.encode({ text: 'too late' }))
  await env.rest()
  expect(log).toEqual(['down a~1: a~1 sent a message that is not understood: text: expected a string'])
  await env.advance(1_000)
  near.send('b~1', 'data', { text: 'honk again' })
  await env.rest()
  expect(log.slice(1)).toEqual(['a~1 data honk again'])
  await Promise.all([near.stop(), far.stop()])
})

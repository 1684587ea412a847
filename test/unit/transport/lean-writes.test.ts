import type { ConnectionEncrypter, MultiaddrConnection, Stream, Transport, Upgrader } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { lazyWindow, leanEncrypter, leanTransport } from '../../../lib/transport/lean-writes.ts'

test('what a connection dialed or accepted sends in pieces is written in one', async () => {
  const written: number[][][] = []
  const connection = () => ({
    sendData: (chunks: Iterable<Uint8Array>) => {
      const pieces = [...chunks].map(chunk => [...chunk])
      written.push(pieces)
      return { sentBytes: pieces.flat().length, canSendMore: false }
    },
  })
  type Sends = ReturnType<typeof connection>
  const sent: unknown[] = []
  const send = (raw: unknown): void =>
    void sent.push((raw as Sends).sendData([Uint8Array.of(1), Uint8Array.of(2, 3), Uint8Array.of(4)]))
  const upgrader = { upgradeInbound: send, upgradeOutbound: send } as unknown as Upgrader
  const raw = (): MultiaddrConnection => connection() as unknown as MultiaddrConnection
  const transport = leanTransport({
    dial: (_: unknown, options: { upgrader: Upgrader }) => options.upgrader.upgradeOutbound(raw(), {} as never),
    createListener: (options: { upgrader: Upgrader }) => options.upgrader.upgradeInbound(raw(), {} as never),
  } as unknown as Transport)
  await transport.dial(undefined as never, { upgrader } as never)
  transport.createListener({ upgrader })
  expect(written).toEqual([[[1, 2, 3, 4]], [[1, 2, 3, 4]]])
  expect(sent).toEqual(Array.from({ length: 2 }, () => ({ sentBytes: 4, canSendMore: false })))
})

test.each([
  ['is new', { state: 2, recvWindow: 100, recvWindowCapacity: 90 }, 1],
  ['has most of its window', { state: 3, recvWindow: 100, recvWindowCapacity: 51 }, 0],
  ['has half of its window left', { state: 3, recvWindow: 100, recvWindowCapacity: 50 }, 1],
  ['names its fields otherwise', { state: 3, window: 100 }, 1],
])('a stream that %s', (_, fields, updates) => {
  let count = 0
  const stream = { ...fields, sendWindowUpdate: () => void count++ }
  lazyWindow(stream as unknown as Stream)
  stream.sendWindowUpdate()
  expect(count).toBe(updates)
})

test('a stream of another muxer is left as it is', () => {
  const stream = { id: 'plain' }
  lazyWindow(stream as unknown as Stream)
  expect(stream).toEqual({ id: 'plain' })
})

test('a length that is not there yet is no new error each time, and one that is there is read as before', async () => {
  const decoder = { lengthDecoder: ({ byteLength }: { byteLength: number }) => byteLength }
  const secure = async (): Promise<unknown> => ({ connection: { decoder } })
  const plain = { secureInbound: secure, secureOutbound: secure } as unknown as ConnectionEncrypter
  await leanEncrypter(plain).secureInbound({} as never)
  expect(decoder.lengthDecoder({ byteLength: 2 })).toBe(2)
  const errors = [0, 1].map(byteLength => {
    try {
      return decoder.lengthDecoder({ byteLength })
    } catch (error) {
      return error
    }
  })
  expect(errors[0]).toBeInstanceOf(RangeError)
  expect(errors[1]).toBe(errors[0])
  const other = { secureInbound: async () => ({ connection: {} }), secureOutbound: secure }
  expect(await leanEncrypter(other as unknown as ConnectionEncrypter).secureInbound({} as never)).toEqual({
    connection: {},
  })
})

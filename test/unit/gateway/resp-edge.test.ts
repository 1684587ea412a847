/** The edge of the RESP door: whom it refuses, and what the log says of it. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { startRespDoor } from '../../../lib/gateway/resp/resp-door.ts'
import { FakeCluster, type FakeGrid } from './fake-grid.ts'

test.each([
  ['bytes that are no command', '\xff\x00\xfe\r\n', 'malformed'],
  ['a length that is none', '*x1\r\n', 'malformed'],
  ['HTTP', 'POST /v1/cluster HTTP/1.1\r\n\r\n', 'http'],
  ['a value of 1 GB', '*2\r\n$1073741824\r\n', 'too-large'],
  ['1 G arguments', '*1073741824\r\n', 'too-many-arguments'],
  ['who gives no token', 'GET a\r\n', 'unauthorized'],
  ['who gives a wrong token', 'AUTH wrong\r\n', 'unauthorized'],
])('%s is in the log once, with what to do', async (_, bytes, code) => {
  const cluster = new FakeCluster('goose-1')
  const { grid, events } = cluster.members[0] as FakeGrid
  const guard = code === 'unauthorized' ? { accessToken: 'hush' } : {}
  const door = await startRespDoor(grid, { listen: '127.0.0.1:0', ...guard })
  for (let times = 0; times < 3; times++) {
    const socket = connect(door.port, '127.0.0.1').resume()
    socket.on('error', () => undefined)
    socket.end(Buffer.from(`${bytes}QUIT\r\n`, 'latin1'))
    await once(socket, 'close')
  }
  const told = events.filter(({ event }) => event === 'resp.refused')
  const wanted = { door: 'RESP door', from: expect.stringMatching(/^127\.0\.0\.1:\d+$/), code }
  expect(told.map(({ fields }) => fields)).toEqual([
    { ...wanted, reason: expect.any(String), remedy: expect.any(String) },
  ])
  await door.close({ graceMs: 0 })
  cluster.close()
})

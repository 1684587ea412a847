import { request } from 'node:http'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Emit } from '../../../lib/base/machine.ts'
import { HttpListener } from '../../../lib/connectors/http/listener.ts'
import { systemEnv } from '../../../lib/peer/clock.ts'
import { said } from '../raw-client.ts'

describe('the listener of flows', () => {
  let events: Emit[]
  let listener: HttpListener
  let port: number

  beforeEach(async () => {
    events = []
    listener = new HttpListener(
      systemEnv(event => void events.push(event)),
      { listen: '127.0.0.1:0' },
    )
    port = Number((await listener.listening()).split(':')[1])
  })
  afterEach(() => listener.close())

  const lines = (): readonly unknown[] => events.map(({ event, fields }) => [event, fields['door'], fields['code']])

  async function status(path: string): Promise<number | undefined> {
    const asked = request({ port, host: '127.0.0.1', path, agent: false })
    asked.end()
    const [response] = (await once(asked, 'response')) as [{ statusCode?: number; resume(): void }]
    response.resume()
    return response.statusCode
  }

  test('is not where the API is, and says once where it is', async () => {
    for (let times = 0; times < 3; times++) expect(await status('/v1/cluster')).toBe(404)
    expect(lines()).toEqual([['flows.refused', 'flow port', 'not-a-flow']])
    expect(events[0]?.fields['remedy']).toContain('--http')
    expect(await status('/ordres/1')).toBe(404)
    expect(lines()[1]).toEqual(['flows.refused', 'flow port', 'not-found'])
  })

  test('tells garbage and long headers apart, each once', async () => {
    for (let times = 0; times < 3; times++) {
      expect(await said(port, 'garbage\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
      expect(await said(port, `GET / HTTP/1.1\r\nhost: x\r\na: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(
        /^HTTP\/1\.1 431 /,
      )
    }
    expect(lines()).toEqual([
      ['flows.refused', 'flow port', 'malformed'],
      ['flows.refused', 'flow port', 'headers-too-large'],
    ])
  })
})

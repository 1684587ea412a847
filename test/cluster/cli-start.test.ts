import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../free-port.ts'
import { Stage } from './stage.ts'

const lib = join(import.meta.dirname, '..', '..', 'lib')
const flowFile = `
import { flow, http, queue } from '${lib}/index.ts'
export default flow('orders').from(http.post('/orders')).to(queue('orders'))
`

let stage: Stage
beforeEach(() => void (stage = new Stage()))
afterEach(() => stage.clear())

describe('skein start', () => {
  test('prints exactly one JSON line on stdout once it serves, with the ports it got', async () => {
    const doors = ['--http', '127.0.0.1:0', '--resp', '127.0.0.1:0']
    const [peer, ready] = await stage.start('goose-1', undefined, ...doors)
    expect(ready).toEqual({
      ready: true,
      name: 'goose-1',
      member: expect.stringMatching(/^goose-1~\w{8}$/) as string,
      addresses: [expect.stringMatching(/^127\.0\.0\.1:[1-9]\d*$/) as string],
      http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/) as string,
      resp: expect.stringMatching(/^127\.0\.0\.1:[1-9]\d*$/) as string,
    })
    expect((await fetch(`${ready.http}/-/ready`)).status).toBe(200)
    const { code, stdout, stderr } = await peer.signal('SIGTERM')
    expect(code).toBe(0)
    expect(stdout.trimEnd().split('\n')).toHaveLength(1)
    for (const line of stderr.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg')
  })

  test('opens no door that was not asked for', async () => {
    const [, ready] = await stage.start('goose-1', undefined)
    expect(Object.keys(ready)).toEqual(['ready', 'name', 'member', 'addresses'])
  })

  test('tells a person where it listens and how to add a second peer', async () => {
    const peer = stage.run('start', '--listen', '127.0.0.1:0', '--name', 'goose-1', '--cluster', 'shop')
    await new Promise<void>(resolve => {
      peer.child.stdout?.on('data', () => peer.stdout.includes('ready in') && resolve())
    })
    expect(peer.stdout).toMatch(/^skein \d+\.\d+\.\d+ · goose-1 · cluster shop\n/)
    expect(peer.stdout).toMatch(/npx skein start --join 127\.0\.0\.1:\d+\n/)
    expect(peer.stdout).toContain('loopback only: no --secret-file')
  })

  test('goes on when one of three is killed, and hands over when one is told to go', async () => {
    const http = ['--http', '127.0.0.1:0']
    const [one, first] = await stage.start('goose-1', undefined, ...http)
    const [[two], [, third]] = await Promise.all([
      stage.start('goose-2', first, ...http),
      stage.start('goose-3', first, ...http),
    ])
    await safety(third.http, 1)
    await put(third.http, 'before')
    await one.signal('SIGKILL')
    await put(third.http, 'after')
    expect(await read(third.http, 'before')).toBe('before')
    expect((await two.signal('SIGTERM')).code).toBe(0)
    expect(await read(third.http, 'before')).toBe('before')
    expect(await read(third.http, 'after')).toBe('after')
  })

  test('the last of a cluster spools what is stored for the next start', async () => {
    const http = ['--http', '127.0.0.1:0']
    const [one, first] = await stage.start('goose-1', undefined, ...http)
    const [two] = await stage.start('goose-2', first, ...http)
    await put(first.http, 'kept')
    const stop = stage.run('stop', '--all', '--http', first.http as string)
    expect((await stop.ended()).code).toBe(0)
    expect((await one.ended()).code).toBe(0)
    expect((await two.ended()).code).toBe(0)
    const spools = readdirSync(join(stage.folder, '.skein'))
    expect(spools).toEqual([expect.stringMatching(/^default-goose-[12]\.\d+\.spool$/)])
    expect(statSync(join(stage.folder, '.skein', spools[0] as string)).mode & 0o777).toBe(0o600)
    const [, again] = await stage.start('goose-3', undefined, ...http)
    expect(await read(again.http, 'kept')).toBe('kept')
    expect(readdirSync(join(stage.folder, '.skein'))).toEqual([])
  })

  test('waits with its flows until there are as many copies as it must have, and spools at once where the last has too few', async () => {
    writeFileSync(join(stage.folder, 'flow.ts'), flowFile)
    const listen = `127.0.0.1:${await freePort()}`
    const both = ['--json', '--min-copies', '2', '--flow-http', '127.0.0.1:0', 'flow.ts']
    const one = stage.run('start', '--name', 'goose-1', '--listen', listen, ...both)
    while (!one.stderr.includes('waits to open what it was started for'))
      await once(one.child.stderr as NodeJS.ReadableStream, 'data')
    const two = stage.run('start', '--name', 'goose-2', '--listen', '127.0.0.1:0', '--join', listen, ...both)
    const [first] = await Promise.all([one.ready(), two.ready()])
    const order = await fetch(`${first.flows}/orders`, { method: 'POST', body: '{"n":1}' })
    expect(order.status).toBe(202)
    const ended = await Promise.all([one.signal('SIGTERM'), two.signal('SIGTERM')])
    expect(ended.map(({ code }) => code)).toEqual([0, 0])
    const said = ended.map(({ stderr }) => stderr).join('')
    expect(said).toContain('handed over and left')
    expect(said).toContain('nothing is worked off, all of it is spooled')
    expect(readdirSync(join(stage.folder, '.skein'))).toHaveLength(1)
  })

  test('goes at once when it is told to while it looks for the others', async () => {
    const http = `127.0.0.1:${await freePort()}`
    const nobody = `127.0.0.1:${await freePort()}`
    const peer = stage.run('start', '--json', '--listen', '127.0.0.1:0', '--http', http, '--join', nobody)
    const isLive = async (): Promise<boolean> =>
      (await fetch(`http://${http}/-/live`).catch(() => undefined))?.ok === true
    while (!(await isLive()));
    const { code, stdout } = await peer.signal('SIGTERM')
    expect([code, stdout]).toEqual([0, ''])
  })

  test('refuses a damaged spool instead of skipping what it holds', async () => {
    const [peer, ready] = await stage.start('goose-1', undefined, '--http', '127.0.0.1:0')
    await put(ready.http, 'kept')
    await peer.signal('SIGTERM')
    const [name] = readdirSync(join(stage.folder, '.skein')) as [string]
    writeFileSync(join(stage.folder, '.skein', name), 'nonsense that no checksum fits')
    const ended = await stage.run('start', '--listen', '127.0.0.1:0').ended()
    expect(ended.code).toBe(2)
    expect(ended.stderr).toContain('move it away to start without what it holds')
  })

  test('keeps what a spool held when the flows cannot start', async () => {
    const [peer, ready] = await stage.start('goose-1', undefined, '--http', '127.0.0.1:0')
    await put(ready.http, 'kept')
    await peer.signal('SIGTERM')
    const taken = new URL(ready.http as string).port
    const blocker = createServer().listen(Number(taken), '127.0.0.1')
    await once(blocker, 'listening')
    writeFileSync(join(stage.folder, 'flow.ts'), flowFile)
    const failed = await stage
      .run('start', 'flow.ts', '--listen', '127.0.0.1:0', '--flow-http', `127.0.0.1:${taken}`)
      .ended()
    blocker.close()
    expect(failed.code).toBe(2)
    const [, again] = await stage.start('goose-2', undefined, '--http', '127.0.0.1:0')
    expect(await read(again.http, 'kept')).toBe('kept')
  })

  test('a second signal ends it at once', async () => {
    const [peer] = await stage.start('goose-1', undefined)
    peer.child.kill('SIGSTOP')
    peer.child.kill('SIGTERM')
    peer.child.kill('SIGINT')
    peer.child.kill('SIGCONT')
    expect([0, 130, 143]).toContain((await peer.ended()).code)
  })

  test.for([
    [['--listen', '0.0.0.0:0'], 'no cluster secret'],
    [['--http', '0.0.0.0:0'], 'no access token'],
    [['--copies', '9'], '--copies "9": must be a whole number from 1 to 5'],
    [['--min-copies', '3', '--copies', '2'], '--min-copies 3 is more than --copies 2'],
    [['--join', '127.0.0.1:1,127.0.0.1:2,127.0.0.1:3,127.0.0.1:4', '--expect', '2'], 'at least 3'],
    [['--secret-file', 'nowhere'], 'nowhere cannot be read'],
    [['--config', 'nowhere.json'], 'nowhere.json cannot be read'],
    [['flow-that-is-not-there.ts'], 'no such file'],
  ] as const)('refuses %s in one line that says why', async ([args, reason]) => {
    const ended = await stage.run('start', '--listen', '127.0.0.1:0', ...args).ended()
    expect(ended.code).toBe(2)
    expect(ended.stderr).toContain(reason)
    expect(ended.stdout).toBe('')
  })

  test('closes the connection of a client that sends garbage, and lives', async () => {
    const [, ready] = await stage.start('goose-1', undefined, '--http', '127.0.0.1:0', '--resp', '127.0.0.1:0')
    const ports = [ready.addresses[0], ready.http?.slice('http://'.length), ready.resp].map(each =>
      Number(each?.split(':')[1]),
    )
    for (const port of ports) {
      const socket = createConnection(port, '127.0.0.1')
      await once(socket, 'connect')
      const closed = once(socket, 'close')
      socket.on('error', () => undefined)
      socket.resume()
      socket.end(Buffer.alloc(4_096, 0xff))
      await closed
    }
    expect((await fetch(`${ready.http}/-/live`)).status).toBe(200)
  })
})

async function put(http: string | undefined, key: string): Promise<void> {
  const answer = await fetch(`${http}/v1/maps/m/${key}`, { method: 'PUT', body: key })
  expect(answer.status).toBe(200)
}

async function read(http: string | undefined, key: string): Promise<string> {
  return await (await fetch(`${http}/v1/maps/m/${key}`)).text()
}

/** Resolves once the cluster says that so many more may be lost. */
async function safety(http: string | undefined, level: number): Promise<void> {
  for (;;) {
    const cluster = (await (await fetch(`${http}/v1/cluster`)).json()) as {
      readonly safety: { readonly level: number }
    }
    if (cluster.safety.level >= level) return
  }
}

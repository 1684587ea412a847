import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import { InvalidError } from '../../../lib/base/errors.ts'
import {
  environmentName,
  flagName,
  fromEnvironment,
  layered,
  settingsOf,
  settingsSchema,
  type SettingsInput,
} from '../../../lib/peer/options.ts'
import { budgetFor } from '../../../lib/peer/memory.ts'
import { secret, secretFile } from '../../../lib/peer/secret.ts'

const draw = (): string => 'k3x9v'
const messageOf = (input: unknown, nameOf?: (key: string) => string): string => {
  try {
    settingsOf(input as SettingsInput, draw, nameOf)
  } catch (error) {
    if (error instanceof InvalidError) return error.message
  }
  return 'accepted'
}

afterEach(() => vi.unstubAllEnvs())

test('needs nothing: loopback, a drawn name, two copies, half of the memory', () => {
  const { memoryBytes, ...rest } = settingsOf({}, draw)
  expect(memoryBytes).toBeGreaterThanOrEqual(64 * 2 ** 20)
  expect(rest).toMatchObject({
    name: 'peer-k3x9v',
    cluster: 'default',
    listen: ['127.0.0.1:0'],
    seeds: [],
    expect: undefined,
    secret: undefined,
    copies: 2,
    minCopies: 1,
    partitions: 271,
    holdsData: true,
    http: undefined,
    json: false,
  })
})

test('reads texts from flags and environment as it reads values from a program', () => {
  const texts = {
    copies: '3',
    memory: '512MB',
    seeds: '10.0.0.1:7400, dns:shop:7400',
    witness: 'true',
    json: '',
    expect: '2',
    secret: '12345678',
  }
  const values = {
    copies: 3,
    memory: 512 * 2 ** 20,
    seeds: ['10.0.0.1:7400', 'dns:shop:7400'],
    witness: true,
    json: true,
    expect: 2,
    secret: '12345678',
  }
  expect(settingsOf(texts, draw)).toEqual(settingsOf(values, draw))
})

test('a bare port is one of this machine alone', () => {
  expect(settingsOf({ listen: '0', http: '7480', resp: '0' }, draw)).toMatchObject({
    listen: ['127.0.0.1:0'],
    http: '127.0.0.1:7480',
    resp: '127.0.0.1:0',
  })
})

test('reads sizes in the usual spellings', () => {
  const sizes = ['16MB', '1.5g', '2GiB', '64 m', 2 ** 30].map(memory => settingsOf({ memory }, draw).memoryBytes)
  expect(sizes).toEqual([2 ** 24, 1.5 * 2 ** 30, 2 ** 31, 2 ** 26, 2 ** 30])
})

test.each([
  [{ copies: 9 }, 'copies 9: must be a whole number from 1 to 5'],
  [{ copies: 'two' }, 'copies "two": must be a whole number from 1 to 5'],
  [{ copies: 1.5 }, 'copies 1.5: must be a whole number from 1 to 5'],
  [{ memory: '12 bananas' }, 'memory "12 bananas": must be a size such as 512MB or 2GB, at least 16MB'],
  [{ memory: '1MB' }, 'at least 16MB'],
  [{ name: 'no spaces' }, 'name "no spaces": has letters, digits'],
  [{ seeds: '10.0.0.1' }, 'seeds "10.0.0.1": address \'10.0.0.1\': no port'],
  [{ listen: 7400 }, 'listen 7400: must be addresses'],
  [{ http: 'nowhere' }, "address 'nowhere': no port"],
  [{ witness: 'perhaps' }, 'witness "perhaps": must be true or false'],
  [{ copys: 2 }, 'copys is not a setting; there are name, cluster'],
  [{ copies: 1, minCopies: 2 }, 'minCopies 2 is more than copies 1: nothing could be written'],
  [{ listen: '0.0.0.0:7400' }, 'give every peer the same secretFile, or listen on 127.0.0.1'],
  [{ announce: 'shop-1:7400' }, 'shop-1:7400 can be reached from other machines'],
  [{ seeds: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3', '127.0.0.1:4'], expect: 2 }, 'at least 3'],
  [{ secret: '12345678', secretFile: 'x' }, 'secret and secretFile are both given'],
  [{ secretFile: '/no/such/file' }, 'the secret file /no/such/file cannot be read'],
])('says what is wrong with %j', (input, message) => {
  expect(messageOf(input)).toContain(message)
})

test('says all mistakes at once, by the names of where they came from', () => {
  const message = messageOf({ copies: 9, memory: 'x' }, flagName)
  expect(message.split('\n').map(line => line.split(' ')[0])).toEqual(['--memory', '--copies'])
})

test('never repeats a secret in a message', () => {
  expect(messageOf({ secret: 'short' })).not.toContain('short')
  expect(messageOf({ secret: 'short' })).toContain('at least 8 characters')
})

test('half of the listed addresses is not enough, but a name may stand for any number', () => {
  const seeds = ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3']
  expect(settingsOf({ seeds, expect: 2 }, draw).expect).toBe(2)
  expect(settingsOf({ seeds: ['dns:shop:1', 'dns:store:1', ...seeds], expect: 2 }, draw).expect).toBe(2)
})

test('flags win over environment, environment over file', () => {
  const environment = fromEnvironment({ SKEIN_COPIES: '3', SKEIN_NAME: 'env', SKEIN_UNRELATED: 'x', SKEIN_ZONE: '' })
  const settings = settingsOf(
    layered({ name: 'flag', copies: undefined }, environment, { copies: 1, name: 'file', zone: 'z' }),
    draw,
  )
  expect(settings).toMatchObject({ name: 'flag', copies: 3, zone: 'z' })
})

test('every setting has one name in each place', () => {
  expect([environmentName('accessTokenFile'), flagName('accessTokenFile')]).toEqual([
    'SKEIN_ACCESS_TOKEN_FILE',
    '--access-token-file',
  ])
})

test('the schema is a Standard Schema', async () => {
  expect(settingsSchema['~standard'].version).toBe(1)
  expect(await settingsSchema['~standard'].validate({ copies: '2' })).toMatchObject({ value: { copies: 2 } })
})

test('a secret is read when it is needed and never shown', () => {
  const named = secret('SKEIN_TEST_SECRET')
  expect(() => named.reveal()).toThrow('set the environment variable SKEIN_TEST_SECRET, or SKEIN_TEST_SECRET_FILE')
  vi.stubEnv('SKEIN_TEST_SECRET', 'honk honk honk')
  expect(settingsOf({ secret: named, listen: '0.0.0.0:7400' }, draw).secret).toBe('honk honk honk')
  for (const shown of [inspect(named), JSON.stringify({ named }), `${named}`]) expect(shown).not.toContain('honk')
})

test('a secret file is read without its line end, and must hold something', () => {
  const folder = mkdtempSync(join(tmpdir(), 'skein-'))
  const path = join(folder, 'secret')
  writeFileSync(path, 'honk honk honk\n')
  expect(settingsOf({ secretFile: path }, draw).secret).toBe('honk honk honk')
  writeFileSync(path, '\n')
  expect(() => secretFile(path).reveal()).toThrow('is empty')
  rmSync(folder, { recursive: true })
})

test('takes by default half of the memory, and no more than the heap will hold', () => {
  const mb = 2 ** 20
  expect(budgetFor(8_192 * mb, 4_096 * mb)).toBe(Math.floor(0.6 * 4_096 * mb))
  expect(budgetFor(512 * mb, 1_024 * mb)).toBe(256 * mb)
  expect(budgetFor(64 * mb, 64 * mb)).toBe(64 * mb)
})

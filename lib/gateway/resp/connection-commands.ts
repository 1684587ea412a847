/** Commands about the connection itself: who it is, which protocol it speaks, which names it bears. */
import { integer, quotable, wordOf } from './arguments.ts'
import type { Call, Client, Command } from './command.ts'
import { RespError, syntaxError, wrongArity } from './refusals.ts'
import { bulk, ErrorReply, MapReply, ok, Verbatim, type Reply } from './reply.ts'

const group = 'connection'
/** What this door speaks like: clients ask it for what they may use. */
export const redisVersion = '7.0.15'

export const connectionCommands: readonly Command[] = [
  {
    name: 'ping',
    arity: -1,
    summary: 'Ping the server',
    group,
    run: ({ args }) => {
      if (args.length > 2) throw new RespError(wrongArity('ping'))
      return args[1] === undefined ? 'PONG' : new Uint8Array(args[1])
    },
  },
  {
    name: 'echo',
    arity: 2,
    summary: 'Echo the given string',
    group,
    run: ({ args }) => new Uint8Array(args[1] as Buffer),
  },
  { name: 'auth', arity: -2, summary: 'Authenticate to the server', group, isOpen: true, run: auth },
  { name: 'hello', arity: -1, summary: 'Handshake with the server', group, isOpen: true, run: hello },
  {
    name: 'select',
    arity: 2,
    summary: 'Change the selected database for the current connection',
    group,
    run: ({ args }) => {
      const index = integer(args[1] as Buffer)
      if (index < -(2n ** 31n) || index >= 2n ** 31n)
        throw new RespError('ERR value is out of range, value must between -2147483648 and 2147483647')
      if (index !== 0n) throw new RespError('ERR DB index is out of range')
      return ok
    },
  },
  {
    name: 'quit',
    arity: -1,
    summary: 'Close the connection',
    group,
    isOpen: true,
    run: ({ client }) => {
      client.quit()
      return ok
    },
  },
  { name: 'reset', arity: 1, summary: 'Reset the connection', group, isOpen: true, run: reset },
  { name: 'client', arity: -2, summary: 'A container for client connection commands', group, run: clientCommand },
]

function auth({ realm, client, args }: Call): Reply {
  if (args.length > 3) throw new RespError(syntaxError)
  if (realm.accessToken === undefined && args.length === 2)
    throw new RespError(
      'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
    )
  authenticate(realm.accessToken, client, args.length === 3 ? (args[1] as Buffer) : undefined, args.at(-1) as Buffer)
  return ok
}

function authenticate(
  token: Call['realm']['accessToken'],
  client: Client,
  user: Buffer | undefined,
  password: Buffer,
): void {
  const isUser = user === undefined || user.toString('latin1') === 'default'
  if (!isUser || (token !== undefined && !token.accepts(password)))
    throw new RespError('WRONGPASS invalid username-password pair or user is disabled.')
  client.isAuthenticated = true
}

function hello({ realm, client, args }: Call): Reply {
  const version =
    args[1] === undefined ? undefined : integer(args[1], 'ERR Protocol version is not an integer or out of range')
  if (version !== undefined && version !== 2n && version !== 3n)
    throw new RespError('NOPROTO unsupported protocol version')
  for (let at = 2; at < args.length; at++) {
    const word = wordOf(args[at] as Buffer)
    const [first, second] = [args[at + 1], args[at + 2]]
    if (word === 'AUTH' && first !== undefined && second !== undefined) {
      authenticate(realm.accessToken, client, first, second)
      at += 2
    } else if (word === 'SETNAME' && first !== undefined) {
      client.name = clientName(first)
      at++
    } else throw new RespError(`ERR Syntax error in HELLO option '${quotable(args[at] as Buffer)}'`)
  }
  if (!client.isAuthenticated)
    throw new RespError(
      'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
    )
  if (version !== undefined) client.protocol = version === 3n ? 3 : 2
  return new MapReply([
    [bulk('server'), bulk('redis')],
    [bulk('version'), bulk(redisVersion)],
    [bulk('proto'), client.protocol],
    [bulk('id'), client.id],
    [bulk('mode'), bulk('standalone')],
    [bulk('role'), bulk('master')],
    [bulk('modules'), []],
  ])
}

function reset({ realm, client }: Call): Reply {
  client.name = ''
  client.protocol = 2
  client.isAuthenticated = realm.accessToken === undefined
  return 'RESET'
}

type Subcommand = readonly [argumentsMin: number, argumentsMax: number, run: (call: Call) => Reply]

/** By name, with how many arguments follow it. */
const subcommands: Readonly<Record<string, Subcommand>> = {
  ID: [0, 0, ({ client }) => client.id],
  GETNAME: [0, 0, ({ client }) => (client.name === '' ? null : bulk(client.name))],
  SETNAME: [
    1,
    1,
    ({ client, args }) => {
      client.name = clientName(args[2] as Buffer)
      return ok
    },
  ],
  SETINFO: [2, 2, setInfo],
  LIST: [0, Infinity, ({ realm }) => new Verbatim([...realm.clients.values()].map(each => `${line(each)}\n`).join(''))],
  INFO: [0, 0, ({ client }) => new Verbatim(`${line(client)}\n`)],
  'NO-EVICT': [1, 1, onOrOff],
  'NO-TOUCH': [1, 1, onOrOff],
}

function clientCommand(call: Call): Reply {
  const word = wordOf(call.args[1] as Buffer)
  const subcommand = Object.hasOwn(subcommands, word) ? subcommands[word] : undefined
  if (subcommand === undefined) return unknownSubcommand('CLIENT', call.args[1] as Buffer)
  const [least, most, run] = subcommand
  const count = call.args.length - 2
  return count < least || count > most ? wrongArity(`client|${word.toLowerCase()}`) : run(call)
}

export function unknownSubcommand(command: string, given: Buffer): ErrorReply {
  return new ErrorReply(`ERR unknown subcommand '${quotable(given, 128)}'. Try ${command} HELP.`)
}

/** Nothing is evicted here, and no access counted. */
function onOrOff({ args }: Call): Reply {
  const word = wordOf(args[2] as Buffer)
  return word === 'ON' || word === 'OFF' ? ok : syntaxError
}

function setInfo({ client, args }: Call): Reply {
  const value = (args[3] as Buffer).toString('utf8')
  if (/[\s]/.test(value))
    throw new RespError('ERR lib-name and lib-ver cannot contain spaces, newlines or special characters.')
  const word = wordOf(args[2] as Buffer)
  if (word === 'LIB-NAME') client.libraryName = value.slice(0, nameLengthMax)
  else if (word === 'LIB-VER') client.libraryVersion = value.slice(0, nameLengthMax)
  else throw new RespError(`ERR Unrecognized option '${quotable(args[2] as Buffer)}'`)
  return ok
}

const nameLengthMax = 256

function clientName(argument: Buffer): string {
  const name = argument.toString('latin1')
  if (/[^!-~]/.test(name))
    throw new RespError('ERR Client names cannot contain spaces, newlines or special characters.')
  return name.slice(0, nameLengthMax)
}

function line(client: Client): string {
  const { id, address, localAddress, name, connectedMs, lastCommand, lastCommandMs, protocol } = client
  const fields: Readonly<Record<string, string | number>> = {
    id,
    addr: address,
    laddr: localAddress,
    name,
    age: Math.floor(connectedMs / 1_000),
    idle: Math.floor(lastCommandMs / 1_000),
    flags: 'N',
    db: 0,
    cmd: lastCommand === '' ? 'NULL' : lastCommand,
    user: 'default',
    'lib-name': client.libraryName,
    'lib-ver': client.libraryVersion,
    resp: protocol,
  }
  return Object.entries(fields)
    .map(([field, value]) => `${field}=${value}`)
    .join(' ')
}

/** Commands about the server: what it is, what it can, how it is set. Enough for redis-cli, redis-benchmark and ioredis. */
import { wordOf } from './arguments.ts'
import type { Call, Command } from './command.ts'
import { redisVersion, unknownSubcommand } from './connection-commands.ts'
import { isMatch } from './glob.ts'
import { wrongArity } from './refusals.ts'
import { bulk, MapReply, ok, SetReply, Verbatim, type Reply } from './reply.ts'

const group = 'server'

/** `all` are the commands of the door, these included. */
export function serverCommands(all: () => ReadonlyMap<string, Command>): readonly Command[] {
  return [
    { name: 'info', arity: -1, summary: 'Get information and statistics about the server', group, run: info },
    { name: 'config', arity: -2, summary: 'A container for server configuration commands', group, run: config },
    {
      name: 'command',
      arity: -1,
      summary: 'Get array of Redis command details',
      group,
      run: call => describe(call, all()),
    },
    {
      name: 'time',
      arity: 1,
      summary: 'Return the current server time',
      group,
      run: ({ realm }) => {
        const { wallMs } = realm.grid.now()
        return [bulk(String(Math.floor(wallMs / 1_000))), bulk(String(Math.floor((wallMs % 1_000) * 1_000)))]
      },
    },
  ]
}

function config({ realm, args }: Call): Reply {
  switch (wordOf(args[1] as Buffer)) {
    case 'GET': {
      if (args.length < 3) return wrongArity('config|get')
      const patterns = args.slice(2).map(argument => argument.toString('latin1'))
      const matching = [...realm.settings].filter(([name]) => patterns.some(pattern => isMatch(pattern, name, true)))
      return new MapReply(matching.map(([name, value]) => [bulk(name), bulk(value)]))
    }
    case 'RESETSTAT':
      return ok
    default:
      return unknownSubcommand('CONFIG', args[1] as Buffer)
  }
}

function info({ realm, args }: Call): Reply {
  const wanted = new Set(args.slice(1).map(argument => argument.toString('latin1').toLowerCase()))
  const isAll = wanted.size === 0 || ['all', 'default', 'everything'].some(word => wanted.has(word))
  const sections = Object.entries(sectionsOf(realm)).filter(([name]) => isAll || wanted.has(name.toLowerCase()))
  const texts = sections.map(
    ([name, fields]) =>
      `# ${name}\r\n${Object.entries(fields)
        .map(([field, value]) => `${field}:${value}\r\n`)
        .join('')}`,
  )
  return new Verbatim(texts.join('\r\n'))
}

function sectionsOf(realm: Call['realm']): Readonly<Record<string, Readonly<Record<string, string | number>>>> {
  const { grid, clients, counts, blockedPops, port } = realm
  const { memory, members, safety, partitions } = grid.status()
  const uptimeMs = grid.now().monotonicMs - realm.startedMs
  return {
    Server: {
      redis_version: redisVersion,
      redis_mode: 'standalone',
      server_name: 'skein',
      tcp_port: port,
      uptime_in_seconds: Math.floor(uptimeMs / 1_000),
      run_id: grid.member,
    },
    Clients: {
      connected_clients: clients.size,
      maxclients: realm.settings.get('maxclients') ?? '',
      blocked_clients: blockedPops.count,
    },
    Memory: {
      used_memory: memory.bytes,
      maxmemory: memory.budgetBytes,
      maxmemory_policy: 'noeviction',
    },
    Persistence: { loading: 0, async_loading: 0, rdb_bgsave_in_progress: 0, aof_enabled: 0 },
    Stats: {
      total_connections_received: counts.connections,
      total_commands_processed: counts.commands,
      rejected_connections: counts.rejected,
    },
    Replication: { role: 'master', connected_slaves: 0, master_replid: '0'.repeat(40), master_repl_offset: 0 },
    Cluster: { cluster_enabled: 0 },
    Skein: {
      skein_cluster: grid.clusterName,
      skein_member: grid.name,
      skein_members: members.length,
      skein_safety: safety.level,
      skein_partitions: partitions.count,
    },
  }
}

function describe({ args }: Call, all: ReadonlyMap<string, Command>): Reply {
  const word = args[1] === undefined ? '' : wordOf(args[1])
  const named = args.slice(2).map(argument => argument.toString('latin1').toLowerCase())
  switch (word) {
    case '':
      return [...all.values()].map(entry)
    case 'COUNT':
      return args.length === 2 ? all.size : wrongArity('command|count')
    case 'LIST':
      return [...all.keys()].map(bulk)
    case 'INFO':
      return named.length === 0 ? [...all.values()].map(entry) : named.map(name => entryOrNothing(all.get(name)))
    case 'DOCS': {
      const wanted = named.length === 0 ? [...all.keys()] : named.filter(name => all.has(name))
      return new MapReply(wanted.map(name => [bulk(name), documentation(all.get(name) as Command)]))
    }
    default:
      return unknownSubcommand('COMMAND', args[1] as Buffer)
  }
}

function entryOrNothing(command: Command | undefined): Reply {
  return command === undefined ? null : entry(command)
}

/** As COMMAND INFO of Redis 7: name, arity, flags, first key, last key, step, categories, tips, key specifications, subcommands. */
function entry(command: Command): Reply {
  const { name, arity, isWrite, isOpen, isAlone, keys = [0, 0, 0] } = command
  const flags = [
    isWrite === true ? 'write' : keys[0] > 0 ? 'readonly' : 'fast',
    ...(isOpen === true ? ['no_auth'] : []),
    ...(isAlone === true && isWrite === true && keys[0] > 0 ? ['blocking'] : []),
  ]
  const categories = [`@${command.group}`, isWrite === true ? '@write' : '@read']
  return [bulk(name), arity, new SetReply(flags), ...keys, new SetReply(categories), [], [], []]
}

function documentation({ summary, group: own }: Command): Reply {
  return new MapReply([
    [bulk('summary'), bulk(summary)],
    [bulk('since'), bulk('1.0.0')],
    [bulk('group'), bulk(own)],
  ])
}

/**
 * How fast three peers are, each a process, side by side in one run with Redis and one replica where `redis-server` is
 * on the PATH: rounds of both in turn, medians of each, and their ratio. Machines differ and are shared: read the
 * ratios. The client is one of the peers, for that is how the grid is embedded.
 *
 *     npm run bench -- [--rounds 3] [--seconds 1] [--only set] [--in-flight 64] [--json] [--no-redis] [--connections 1] [--profiles FOLDER] [--events]
 */
import { parseArgs } from 'node:util'
import { settled, startCluster, type PeerProcess } from './cluster.ts'
import { median, medianOf, type Measured } from './load.ts'
import { connectionsMaxDefault, isRedisHere, RedisPair } from './redis.ts'
import type { Load } from './workloads.ts'

interface Row {
  readonly name: string
  readonly load: Load
  readonly redis?: (redis: RedisPair, inFlight: number, forMs: number) => Promise<Measured>
}

interface Result {
  readonly name: string
  readonly inFlight: number
  readonly skein: Measured
  /** Of all three peers, the client's own work included; and of the client alone. */
  readonly cpuMicros: number
  readonly clientMicros: number
  readonly redis: Measured | undefined
  /** Skein / Redis, or Skein / the recorded figure for queues. */
  readonly ratio: number | undefined
}

/** RabbitMQ 3.10, quorum queue over 3 nodes, 100 B, prefetch 100, on two cores: recorded, not measured here. */
const quorumQueuePerSecond = 6_950

const warmUpMs = 6_000

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '1' },
    'in-flight': { type: 'string' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    connections: { type: 'string', default: String(connectionsMaxDefault) },
    'no-redis': { type: 'boolean', default: false },
    profiles: { type: 'string' },
    events: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const forMs = Number(values.seconds) * 1_000

function rows(): readonly Row[] {
  const maps = (['set', 'get'] as const).flatMap(kind =>
    (['local', 'remote'] as const).flatMap(owner =>
      [1, 64, 1024].map(inFlight => ({
        name: `${kind}, owner ${owner}`,
        load: { kind, owner, inFlight, forMs } as const,
        redis: (redis: RedisPair) => redis[kind](inFlight, forMs),
      })),
    ),
  )
  const queues = [1, 16].flatMap(batch =>
    [64, 1024].map(inFlight => ({
      name: batch === 1 ? 'queue, single' : `queue, batched`,
      load: { kind: 'queue', inFlight, batch: batch === 1 ? 1 : inFlight / 4, forMs } as const,
    })),
  )
  return [...maps, ...queues].filter(
    ({ name, load }) =>
      name.includes(values.only) &&
      (values['in-flight'] === undefined || load.inFlight === Number(values['in-flight'])),
  )
}

async function cpuMicros(peers: readonly PeerProcess[]): Promise<readonly number[]> {
  return await Promise.all(peers.map(peer => peer.cpuMicros()))
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0)
}

async function measure(row: Row, peers: readonly PeerProcess[], redis: RedisPair | undefined): Promise<Result> {
  const ours: Measured[] = []
  const theirs: Measured[] = []
  const cpu: number[][] = []
  for (let round = 0; round < rounds; round++) {
    await settled(peers)
    const beforeMicros = await cpuMicros(peers)
    if (values.profiles !== undefined) await Promise.all(peers.map(peer => peer.profile()))
    const measured = await (peers[1] as PeerProcess).run(row.load)
    ours.push(measured)
    const usedMicros = (await cpuMicros(peers)).map((micros, at) => micros - (beforeMicros[at] as number))
    cpu.push(usedMicros.map(micros => micros / ((measured.perSecond * forMs) / 1_000)))
    const title = `${row.name} ${row.load.inFlight} ${round + 1}`
    if (values.profiles !== undefined) for (const peer of peers) await peer.profiled(values.profiles, title)
    if (redis !== undefined && row.redis !== undefined) theirs.push(await row.redis(redis, row.load.inFlight, forMs))
  }
  const skein = medianOf(ours)
  const other = theirs.length > 0 ? medianOf(theirs) : undefined
  const against = row.load.kind === 'queue' ? quorumQueuePerSecond : other?.perSecond
  const ratio = against === undefined ? undefined : skein.perSecond / against
  return {
    name: row.name,
    inFlight: row.load.inFlight,
    skein,
    cpuMicros: median(cpu.map(sum)),
    clientMicros: median(cpu.map(each => each[1] ?? 0)),
    redis: other,
    ratio,
  }
}

function line(cells: readonly (string | number)[]): string {
  return cells.map((cell, at) => (at === 0 ? String(cell).padEnd(20) : String(cell).padStart(12))).join(' ')
}

function lineOf({ name, inFlight, skein, cpuMicros, clientMicros, redis, ratio }: Result): string {
  const figures = (each: Measured | undefined): string[] =>
    each === undefined ? ['-', '-', '-'] : [each.perSecond.toFixed(0), each.p50Ms.toFixed(2), each.p99Ms.toFixed(2)]
  const text = line([
    name,
    inFlight,
    ...figures(skein),
    `${cpuMicros.toFixed(0)} (${clientMicros.toFixed(0)})`,
    ...figures(redis),
    ratio === undefined ? '-' : `${ratio.toFixed(2)}x`,
  ])
  return skein.failedCount === 0 ? text : `${text}  ${skein.failedCount} failed`
}

/** Code runs several times as fast once it is compiled, and a peer of a cluster has run for long. */
async function warmUp(peers: readonly PeerProcess[]): Promise<void> {
  const client = peers[1] as PeerProcess
  const forMs = warmUpMs / 4
  for (const owner of ['local', 'remote'] as const) await client.run({ kind: 'set', owner, inFlight: 256, forMs })
  for (const batch of [1, 64]) await client.run({ kind: 'queue', batch, inFlight: 256, forMs })
}

const say = (text: string): void => {
  if (!values.json) console.log(text)
}

const redis = !values['no-redis'] && isRedisHere() ? new RedisPair(Number(values.connections)) : undefined
await redis?.start()
const peers = await startCluster(3, values)
say(`three peers, one backup, 100 B; ${rounds} rounds of ${values.seconds} s, medians`)
say(
  redis === undefined
    ? 'Redis: not measured (no redis-server on the PATH, or not wanted); Skein alone'
    : `Redis: one replica, each set acknowledged by WAIT 1, ioredis, at most ${values.connections} connections; get from the primary`,
)
say(
  `queues: put -> receive -> ack; their ratio is to ${quorumQueuePerSecond} msg/s of a RabbitMQ quorum queue over 3 nodes, recorded elsewhere`,
)
say('')
say(
  line(['', 'in flight', 'skein op/s', 'p50 ms', 'p99 ms', 'CPU us (own)', 'redis op/s', 'p50 ms', 'p99 ms', 'ratio']),
)
await warmUp(peers)
const results: Result[] = []
for (const row of rows()) {
  const result = await measure(row, peers, redis)
  results.push(result)
  say(lineOf(result))
}
if (values.json) console.log(JSON.stringify(results, undefined, 2))
await Promise.all([...peers.map(peer => peer.close()), redis?.stop()])

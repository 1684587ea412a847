/** `/-/metrics` for Prometheus: what this member is, holds and does. Read when asked; only events and requests are counted. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Grid } from '../../grid/handles.ts'

/** Names of events are the code's own, so few; labels beyond this become 'other'. */
const eventNamesMax = 500
const lagResolutionMs = 20

export class DoorMetrics {
  readonly #registry = new Registry()
  readonly #requests: Counter<'method' | 'route' | 'status'>
  readonly #seconds: Histogram<'method' | 'route'>
  readonly #stopListening: () => void
  readonly #lag = monitorEventLoopDelay({ resolution: lagResolutionMs })

  constructor(grid: Grid) {
    const registers = [this.#registry]
    this.#requests = new Counter({
      name: 'skein_http_requests_total',
      help: 'Requests answered by the HTTP door',
      labelNames: ['method', 'route', 'status'],
      registers,
    })
    this.#seconds = new Histogram({
      name: 'skein_http_request_seconds',
      help: 'Time from request to answer',
      labelNames: ['method', 'route'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    })
    this.#stopListening = countEvents(grid, registers)
    gauges(grid, registers)
    this.#system(registers)
    this.#lag.enable()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  async text(): Promise<string> {
    return await this.#registry.metrics()
  }

  answered(method: string, route: string, status: number, seconds: number): void {
    this.#requests.inc({ method, route, status })
    this.#seconds.observe({ method, route }, seconds)
  }

  close(): void {
    this.#stopListening()
    this.#lag.disable()
  }

  #system(registers: Registry[]): void {
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    }
    gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
    gauge('nodejs_heap_used_bytes', 'JavaScript heap in use', () => process.memoryUsage().heapUsed)
    gauge('process_cpu_seconds', 'CPU time of this process', () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    })
    gauge('skein_loop_lag_seconds', 'Longest delay of the event loop since the last time asked', () => {
      const seconds = this.#lag.max / 1e9
      this.#lag.reset()
      return seconds
    })
  }
}

function countEvents(grid: Grid, registers: Registry[]): () => void {
  const events = new Counter({
    name: 'skein_events_total',
    help: 'Events that were also log lines',
    labelNames: ['event', 'level'],
    registers,
  })
  const names = new Set<string>()
  return grid.on('event', ({ event, level }) => {
    if (names.size < eventNamesMax) names.add(event)
    events.inc({ event: names.has(event) ? event : 'other', level })
  })
}

function gauges(grid: Grid, registers: Registry[]): void {
  type Status = ReturnType<Grid['status']>
  const gauge = (name: string, help: string, read: (status: Status) => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(grid.status()))
      },
    })
  }
  gauge(
    'skein_safety_level',
    'How many more members may be lost; -1: some data waits for its only copy',
    s => s.safety.level,
  )
  gauge('skein_ready', '1 if this member serves', s => Number(s.isReady))
  gauge('skein_members', 'Members of the cluster', s => s.members.length)
  gauge(
    'skein_members_live',
    'Members not silent and not leaving',
    s => s.members.filter(m => m.state === 'live').length,
  )
  gauge('skein_is_leader', '1 if this member leads', s => Number(s.leader !== undefined && s.leader === s.self))
  gauge('skein_epoch', 'Grows with each change of the partition table', s => s.epoch)
  gauge('skein_partitions', 'Partitions of the cluster', s => s.partitions.count)
  gauge('skein_partitions_waiting', 'Partitions without a live copy', s => s.partitions.waiting)
  gauge('skein_copies', 'Copies of the partition that has fewest', s => s.partitions.copies)
  gauge(
    'skein_partitions_owned',
    'Partitions that this member owns',
    s => s.members.find(m => m.member === s.self)?.owned ?? 0,
  )
  gauge(
    'skein_partitions_backed_up',
    'Partitions that this member backs up',
    s => s.members.find(m => m.member === s.self)?.backups ?? 0,
  )
  gauge('skein_memory_bytes', 'Memory held by data, logs and transfers', s => s.memory.bytes)
  gauge('skein_memory_budget_bytes', 'Budget of it', s => s.memory.budgetBytes)
}

/**
 * Trial `memory`: a queue filled through all doors until every peer refuses, then one peer killed: nobody crashes,
 * nothing acknowledged is lost, and the queue drains when consumers start.
 */
import { Flock } from './flock.ts'
import { ask, askJson, pause } from './http.ts'
import type { ChaosPeer } from './peer.ts'
import type { Summary } from './summary.ts'

export interface MemoryOptions {
  readonly trials: number
  readonly isKept?: boolean
  /** Budget of each peer. Default '154MB': what a peer takes by default in 512 MB. */
  readonly memory?: string
  /** What a peer's process may take, resident. Default 512. */
  readonly processMb?: number
  /** V8's limit for what is not bodies, as it is in a container of 512 MB. Default 256. */
  readonly heapMb?: number
  /** Bytes of a message's body. Small ones fill the heap, large ones what is beside it. Default 8 KiB. */
  readonly body?: number
  readonly tell: (line: string) => void
}

const fillLanes = 48
/** A peer that refused so many in a row is full. */
const refusalsInRow = 40
const fillSecondsMax = 120
const watchMs = 3_000
const lookMs = 100
/** What was taken and whose answer came too late is there again after this. */
const leaseMs = 10_000
const drainSecondsMax = 90

export async function memory({
  trials,
  memory: budget = '154MB',
  processMb = 512,
  heapMb = 256,
  body: bodyBytes = 8 * 1024,
  isKept = false,
  tell,
}: MemoryOptions): Promise<Summary> {
  const flock = new Flock({ memory: budget, env: { NODE_OPTIONS: `--max-old-space-size=${heapMb}` } })
  const wrong: string[] = []
  const figures = { messages: 0, unsure: 0, resident: 0, refusal: 0, drained: 0 }
  const watch = setInterval(() => {
    const live = flock.peers.filter(({ isRunning }) => isRunning)
    figures.resident = Math.max(figures.resident, ...live.map(peer => peer.residentMb()))
  }, lookMs)
  try {
    await flock.start()
    for (let at = 0; at < trials; at++) {
      const put = new Set<string>()
      const unknown = new Set<string>()
      const filled = await fill(flock, `m${at}`, bodyBytes, put, unknown)
      // Collecting garbage in a heap that is nearly full may cost a peer its lease: then it says that it does not know.
      for (const [kind, count] of filled)
        if (!/^(?:201|507 GRID_FULL|504 INDETERMINATE)$/.test(kind)) wrong.push(`${count} answers ${kind}`)
      figures.unsure += filled.get('504 INDETERMINATE') ?? 0
      figures.messages += put.size
      const filledMb = Math.max(...flock.peers.map(peer => peer.residentMb()))
      const victim = flock.peer(at)
      await victim.end('SIGKILL')
      await pause(watchMs)
      const others = flock.others(victim)
      for (const peer of others) if (!peer.isRunning) wrong.push(`${peer.name} ended when ${victim.name} was killed`)
      // Reads go on while writes are refused.
      const readMs = performance.now()
      await ask((others[0] as ChaosPeer).http, 'GET', '/v1/maps/none/none')
      figures.refusal = Math.max(figures.refusal, (performance.now() - readMs) / 1_000)
      const startMs = performance.now()
      const taken = await drain(others, `m${at}`)
      const seconds = (performance.now() - startMs) / 1_000
      figures.drained = Math.max(figures.drained, seconds)
      const lost = [...put].filter(id => !taken.has(id))
      const doubled = [...taken].filter(([, count]) => count > 1)
      const strange = [...taken.keys()].filter(id => !put.has(id) && !unknown.has(id))
      wrong.push(...lost.map(id => `message ${id} is lost`), ...doubled.map(([id]) => `message ${id} came twice`))
      wrong.push(...strange.map(id => `message ${id} was refused and came`))
      tell(
        `  memory ${at + 1}  ${put.size} messages of ${bodyBytes} B until all refused (${[...filled].join(' ')})  resident ${filledMb} MB then, ${figures.resident} MB at most  ` +
          `killed ${victim.name}  lost ${lost.length}  drained in ${seconds.toFixed(1)} s`,
      )
      await flock.startOne(victim)
      await flock.safe()
    }
    const { resident } = figures
    if (resident > processMb) wrong.push(`a peer took ${resident} MB of ${processMb}`)
    const complaints = flock.complaints()
    return {
      trial: 'memory',
      isPassed: wrong.length === 0 && complaints.length === 0,
      figures: {
        trials,
        'budget of a peer': budget,
        'bytes of a message': bodyBytes,
        'messages acknowledged': figures.messages,
        'answers INDETERMINATE': figures.unsure,
        'what went wrong': wrong.length,
        'largest resident set, MB': figures.resident,
        'a read while full, s': figures.refusal,
        'drained in, s, at most': figures.drained,
      },
      problems: [...new Set([...wrong, ...complaints])],
      folder: flock.folder,
    }
  } finally {
    clearInterval(watch)
    await flock.end(isKept)
  }
}

/** Answers by kind. */
async function fill(
  flock: Flock,
  queue: string,
  bodyBytes: number,
  put: Set<string>,
  unknown: Set<string>,
): Promise<ReadonlyMap<string, number>> {
  const filler = 'x'.repeat(bodyBytes)
  const answers = new Map<string, number>()
  const inRow = new Map<ChaosPeer, number>()
  const untilMs = performance.now() + fillSecondsMax * 1_000
  let next = 0
  const lane = async (number: number): Promise<void> => {
    for (let n = number; performance.now() < untilMs; n++) {
      const peer = flock.peer(n)
      if (flock.peers.every(each => (inRow.get(each) ?? 0) >= refusalsInRow)) return
      const id = `${queue}-${next++}`
      const headers = { 'content-type': 'text/plain', 'idempotency-key': id }
      const answer = await ask(peer.http, 'POST', `/v1/queues/${queue}`, `${id} ${filler}`, headers)
      const code = answer.status < 300 ? '' : ` ${(JSON.parse(answer.body) as { code: string }).code}`
      const kind = `${answer.status}${code}`
      answers.set(kind, (answers.get(kind) ?? 0) + 1)
      if (answer.status < 300) put.add(id)
      else if (answer.status === 504) unknown.add(id)
      inRow.set(peer, answer.status === 507 ? (inRow.get(peer) ?? 0) + 1 : 0)
    }
  }
  await Promise.all(Array.from({ length: fillLanes }, (_, at) => lane(at)))
  return answers
}

async function drain(peers: readonly ChaosPeer[], queue: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  const untilMs = performance.now() + drainSecondsMax * 1_000
  const lane = async (peer: ChaosPeer): Promise<void> => {
    for (;;) {
      const { messages } = await askJson<{ messages: readonly { body: string; token: string }[] }>(
        peer.http,
        'POST',
        `/v1/queues/${queue}/receive?max=100&leaseMs=${leaseMs}&waitMs=2000`,
      )
      if (messages.length === 0 && ((await leftIn(peer, queue)) === 0 || performance.now() > untilMs)) return
      if (messages.length === 0) continue
      for (const { body } of messages) {
        const id = body.split(' ', 1)[0] as string
        counts.set(id, (counts.get(id) ?? 0) + 1)
      }
      await askJson(peer.http, 'POST', `/v1/queues/${queue}/ack`, { tokens: messages.map(({ token }) => token) })
    }
  }
  await Promise.all(peers.map(lane))
  return counts
}

/** Messages of a queue, leased ones too. */
async function leftIn(peer: ChaosPeer, queue: string): Promise<number> {
  const { queues } = await askJson<{ queues: readonly { queue: string; total: number }[] }>(
    peer.http,
    'GET',
    '/v1/queues',
  )
  return queues.find(each => each.queue === queue)?.total ?? 0
}

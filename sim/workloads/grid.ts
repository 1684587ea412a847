/**
 * The handles that applications hold, over real peers: `lock.run` with its fence checked in a transaction, `map.update`,
 * `queue.receive` with the acknowledgement in a transaction, `queue.consume`.
 */
import type { MemberGrid } from '../../lib/grid/grid.ts'
import { fencingViolation, type Grant } from '../checkers/fencing.ts'
import { settledOf, type Ran } from '../grids.ts'
import { Order } from '../order.ts'
import { Clients, type Violation, type Workload, type WorkloadContext } from '../workload.ts'

const deadline = '3s'
const gatherMs = 25_000
const groupCount = 3
/** By default one that was handed back often waits longer than the run lasts. */
const jobSettings = { backoff: ['200ms', '2s'] } as const

interface Job {
  readonly id: string
  readonly group: number
  readonly ordinal: number
}

interface Seen extends Job {
  isCertain: boolean
}

export function gridWorkload(context: WorkloadContext): Workload {
  return new GridWorkload(context)
}

class GridWorkload implements Workload {
  readonly name = 'grid'
  readonly #context: WorkloadContext
  readonly #clients: Clients
  readonly #order = new Order()
  readonly #grants: Grant[] = []
  readonly #jobs: Seen[] = []
  /** Put into `finished` by the transaction that acknowledged them. */
  readonly #finished: Job[] = []
  readonly #chores: Seen[] = []
  /** What `consume` was handed, in order. */
  readonly #consumed: Job[] = []
  #addedCount = 0
  #unknownCount = 0
  #total: number | undefined
  /** A group's puts come one after the other, so that their order is known. */
  readonly #busyGroups = new Set<number>()

  constructor(context: WorkloadContext) {
    this.#context = context
    this.#clients = new Clients(context, 200, (_, node, next) => {
      const draw = context.random.float()
      if (draw < 0.2) this.#lock(node, next)
      else if (draw < 0.4) this.#update(node, next)
      else if (draw < 0.6) this.#putJob(node, next)
      else if (draw < 0.8) this.#workOff(node, next)
      else this.#putChore(node, next)
    })
  }

  begin(): void {
    this.#context.grids.whenStarted((_, grid) => {
      grid.queue<Job>('chores').consume(
        job => {
          this.#consumed.push(job)
        },
        { lease: '3s' },
      )
    })
    this.#clients.begin(8)
  }

  rest(): void {
    this.#clients.rest()
  }

  gather(node: number, done: () => void): void {
    const { world, grids } = this.#context
    const untilMs = world.nowMs + gatherMs
    const look = (): void => {
      if ((this.#isWorkedOff() && this.#total !== undefined) || world.nowMs >= untilMs) return done()
      grids.run(
        node,
        async grid => {
          this.#total = (await grid.map<number>('tallies').get('tally', { deadline })) ?? 0
          await this.#takeJobs(grid, 50)
          const finished = await grid.queue<Job>('finished').receive({ max: 500, wait: '300ms', lease: '10m' })
          this.#finished.push(...finished.map(message => message.body))
        },
        () => world.after(100, look),
      )
    }
    look()
  }

  check(isGathered: boolean): readonly Violation[] {
    if (!isGathered || this.#context.lostPartitions.size > 0) return []
    const messages = [...this.#checkJobs(), ...this.#checkChores()]
    const fence = fencingViolation(this.#grants)
    if (fence !== undefined) messages.push(`lock: ${fence}`)
    const total = this.#total ?? -1
    if (total < this.#addedCount || total > this.#addedCount + this.#unknownCount)
      messages.push(`map.update: ${total} after ${this.#addedCount} additions and ${this.#unknownCount} perhaps`)
    return messages.map(message => ({ checker: 'handles', message }))
  }

  #isWorkedOff(): boolean {
    const finished = new Set(this.#finished.map(({ id }) => id))
    const consumed = new Set(this.#consumed.map(({ id }) => id))
    return (
      this.#jobs.every(({ id, isCertain }) => !isCertain || finished.has(id)) &&
      this.#chores.every(({ id, isCertain }) => !isCertain || consumed.has(id))
    )
  }

  #checkJobs(): string[] {
    const byId = Map.groupBy(this.#finished, ({ id }) => id)
    const messages: string[] = []
    for (const { id, isCertain } of this.#jobs) {
      const count = byId.get(id)?.length ?? 0
      if (count > 1) messages.push(`${id} was committed ${count} times`)
      if (count === 0 && isCertain) messages.push(`${id} was put and never committed`)
    }
    return messages
  }

  #checkChores(): string[] {
    const messages: string[] = []
    const consumed = new Set(this.#consumed.map(({ id }) => id))
    for (const { id, isCertain } of this.#chores)
      if (isCertain && !consumed.has(id)) messages.push(`${id} was put and never consumed`)
    const certain = new Set(this.#chores.filter(({ isCertain }) => isCertain).map(({ id }) => id))
    for (let group = 0; group < groupCount; group++) {
      let last = -1
      const seen = new Set<string>()
      for (const { id, ordinal, group: of } of this.#consumed) {
        if (of !== group || seen.has(id) || !certain.has(id)) continue
        seen.add(id)
        if (ordinal < last) messages.push(`${id} of group ${group} came first after its successor`)
        last = Math.max(last, ordinal)
      }
    }
    return messages
  }

  #lock(node: number, next: () => void): void {
    const calledAt = this.#order.next()
    const { random } = this.#context
    const holdMs = random.float() * 400
    const run = async (grid: MemberGrid): Promise<void> => {
      await grid.lock('gate').run(
        async ({ fence, signal }) => {
          const acceptedAt: number[] = []
          this.#grants.push({ token: fence, calledAt, returnedAt: this.#order.next(), acceptedAt })
          await new Promise<void>(resolve => grid.env.at(grid.env.now().monotonicMs + holdMs, resolve))
          if (signal.aborted) return
          const usedAt = this.#order.next()
          await grid.transaction(
            tx => {
              tx.lock('gate').verify(fence)
              tx.map<number>('guarded').put('last', fence)
            },
            { deadline, signal },
          )
          acceptedAt.push(usedAt)
        },
        { deadline, wait: '1s', lease: '2s' },
      )
    }
    this.#run(node, 'lock.run', run, next)
  }

  #update(node: number, next: () => void): void {
    const add = (grid: MemberGrid): Promise<number> =>
      grid.map<number>('tallies').update('tally', value => (value ?? 0) + 1, { deadline })
    this.#run(node, 'map.update', add, ran => {
      if (ran.kind === 'done') this.#addedCount++
      else if (settledOf(ran).kind === 'indeterminate') this.#unknownCount++
      next()
    })
  }

  #putJob(node: number, next: () => void): void {
    const job = { id: `j${this.#jobs.length}`, group: 0, ordinal: 0, isCertain: false }
    this.#jobs.push(job)
    const { id, group, ordinal } = job
    const put = (grid: MemberGrid): Promise<string> =>
      grid.queue<Job>('jobs', jobSettings).put({ id, group, ordinal }, { id, deadline })
    this.#run(node, 'queue.put', put, ran => {
      job.isCertain = ran.kind === 'done'
      next()
    })
  }

  #workOff(node: number, next: () => void): void {
    this.#run(node, 'queue.ack', grid => this.#takeJobs(grid, 3), next)
  }

  async #takeJobs(grid: MemberGrid, max: number): Promise<void> {
    const taken = await grid.queue<Job>('jobs', jobSettings).receive({ max, wait: '100ms', lease: '2s', deadline })
    for (const message of taken) {
      await grid.transaction(
        tx => {
          tx.queue('jobs').ack(message)
          tx.queue<Job>('finished').put(message.body, { id: message.id })
        },
        { deadline },
      )
    }
  }

  #putChore(node: number, next: () => void): void {
    const group = this.#context.random.int(0, groupCount - 1)
    if (this.#busyGroups.has(group)) return next()
    this.#busyGroups.add(group)
    const ordinal = this.#chores.length
    const chore = { id: `c${ordinal}`, group, ordinal, isCertain: false }
    this.#chores.push(chore)
    const { id } = chore
    const put = (grid: MemberGrid): Promise<string> =>
      grid.queue<Job>('chores').put({ id, group, ordinal }, { id, group: `g${group}`, deadline })
    this.#run(node, 'queue.put', put, ran => {
      chore.isCertain = ran.kind === 'done'
      this.#busyGroups.delete(group)
      next()
    })
  }

  #run<T>(node: number, what: string, work: (grid: MemberGrid) => Promise<T>, next: (ran: Ran<T>) => void): void {
    this.#context.grids.run(node, work, ran => {
      this.#context.settled(what, settledOf(ran))
      next(ran)
    })
  }
}

/**
 * Says in one line when this peer cannot serve and why, and when it can again. What it sees of the others are the links
 * that its transport tells of.
 */
import type { Emit } from '../../lib/base/machine.ts'
import type { Grid, GridStatus } from '../../lib/grid/handles.ts'
import type { Log } from './log.ts'

/** A failover of a healthy cluster is over before that. */
const patienceMs = 1_500
const lookMs = 250

export class QuorumWatch {
  /** When the link to a member went down; absent: it is up, or was never seen. */
  readonly #downMs = new Map<string, number>()
  readonly #upMembers = new Set<string>()
  #unreadyMs: number | undefined
  #isTold = false

  /** Feeds on the events of the transport. */
  event({ event, fields }: Emit): void {
    const member = String(fields['member'])
    if (event === 'transport.link-up') {
      this.#upMembers.add(member)
      this.#downMs.delete(member)
    } else if (event === 'transport.link-down') {
      this.#upMembers.delete(member)
      this.#downMs.set(member, performance.now())
    }
  }

  get linkCount(): number {
    return this.#upMembers.size
  }

  /** Looks until the returned function is called. */
  start(grid: Grid, log: Log): () => void {
    const timer = setInterval(() => this.#look(grid.status(), log), lookMs)
    timer.unref()
    return () => clearInterval(timer)
  }

  #look(status: GridStatus, log: Log): void {
    if (status.isReady || status.reason === 'leaving' || status.reason === 'closed') {
      if (this.#isTold) log.say('info', 'serving again')
      this.#isTold = false
      this.#unreadyMs = undefined
      return
    }
    const nowMs = performance.now()
    this.#unreadyMs ??= nowMs
    if (this.#isTold || nowMs - this.#unreadyMs < patienceMs) return
    this.#isTold = true
    log.say('warn', this.line(status, nowMs))
  }

  /** e.g. 'no quorum: see 1 of 3 voters (goose-2, goose-3 silent for 4.1 s); refusing writes; ...'. */
  line({ self, members, reason }: GridStatus, nowMs: number): string {
    if (members.length === 0) return `${reason}: looking for the others; nothing is served until they are found`
    const voters = members.filter(({ roles }) => roles.includes('voter'))
    const missing = voters.filter(({ member }) => member !== self && !this.#upMembers.has(member))
    if (missing.length * 2 < voters.length)
      return `${reason}; most voters can be reached: waiting for them to agree on a leader`
    const silentMs = Math.max(...missing.map(({ member }) => nowMs - (this.#downMs.get(member) ?? nowMs)))
    const names = missing.map(({ name }) => name).join(', ')
    const seen = voters.length - missing.length
    return (
      `no quorum: see ${seen} of ${voters.length} voters (${names} silent for ${(silentMs / 1000).toFixed(1)} s); ` +
      'refusing writes until one of them is back; if they are gone for good: skein recover'
    )
  }
}

/** What clients asked, what they were promised and how long each answer took; gaps and losses are computed from this alone. */
import type { ChaosPeer } from './peer.ts'

export interface Attempt {
  readonly peer: string
  readonly what: string
  readonly startMs: number
  readonly endMs: number
  /** 'ok', 'refused CODE', 'failed' (no connection, or it broke). */
  readonly result: string
}

/** A peer that is not to be counted on, from signal to signal or until it served again. */
export interface Outage {
  readonly peer: string
  readonly fromMs: number
  toMs: number
}

/** At least `acknowledged`, at most `acknowledged + unknown`. */
export interface Tally {
  acknowledged: number
  unknown: number
}

export class Ledger {
  readonly attempts: Attempt[] = []
  readonly outages: Outage[] = []
  /** From first try to acknowledgement of each write that was repeated until it got one, in ms. */
  readonly chains: { readonly startMs: number; readonly endMs: number; readonly what: string }[] = []
  /** RESP string -> value. */
  readonly strings: Map<string, string> = new Map()
  readonly entries: Map<string, string> = new Map()
  readonly messages: Set<string> = new Set()
  readonly lists: Map<string, string[]> = new Map()
  readonly respCounters: Map<string, Tally> = new Map()
  readonly counters: Map<string, Tally> = new Map()

  /** `afterMs`: so long it must still serve. */
  down(peer: ChaosPeer, afterMs = 0): Outage {
    const outage = { peer: peer.name, fromMs: performance.now() + afterMs, toMs: Infinity }
    this.outages.push(outage)
    return outage
  }

  count(counters: Map<string, Tally>, key: string, kind: keyof Tally): void {
    const tally = counters.get(key) ?? { acknowledged: 0, unknown: 0 }
    tally[kind]++
    counters.set(key, tally)
  }

  get acknowledgedCount(): number {
    const sum = (tallies: Map<string, Tally>): number =>
      [...tallies.values()].reduce((total, { acknowledged }) => total + acknowledged, 0)
    const listed = [...this.lists.values()].reduce((total, list) => total + list.length, 0)
    const single = this.strings.size + this.entries.size + this.messages.size
    return single + listed + sum(this.respCounters) + sum(this.counters)
  }

  /** Attempts at peers that were there all the while. */
  live(sinceMs = 0): readonly Attempt[] {
    const isOut = ({ peer, startMs, endMs }: Attempt): boolean =>
      this.outages.some(out => out.peer === peer && startMs <= out.toMs && endMs >= out.fromMs)
    return this.attempts.filter(attempt => attempt.startMs >= sinceMs && !isOut(attempt))
  }

  /** Longest answer of a live peer, in s. */
  slowest(sinceMs = 0): Attempt | undefined {
    return longest(this.live(sinceMs))
  }

  longestChain(sinceMs = 0): number {
    const found = longest(this.chains.filter(({ startMs }) => startMs >= sinceMs))
    return found === undefined ? 0 : (found.endMs - found.startMs) / 1_000
  }

  /** Refusals and failures of live peers, by kind. */
  refusals(sinceMs = 0): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const { result } of this.live(sinceMs)) if (result !== 'ok') counts[result] = (counts[result] ?? 0) + 1
    return counts
  }
}

export function secondsOf(each: { readonly startMs: number; readonly endMs: number } | undefined): number {
  return each === undefined ? 0 : Math.round(each.endMs - each.startMs) / 1_000
}

function longest<T extends { readonly startMs: number; readonly endMs: number }>(all: readonly T[]): T | undefined {
  let found: T | undefined
  for (const each of all)
    if (found === undefined || each.endMs - each.startMs > found.endMs - found.startMs) found = each
  return found
}

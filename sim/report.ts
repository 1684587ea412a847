/** Runs in words: one line a seed, all there is to know of a failed one, and the shares of what a batch must have seen. */
import { occasions, type Occasion } from './observer.ts'
import type { RunOptions, RunResult } from './run.ts'

/** Violations shown of one run. */
const violationsShownMax = 5

/** `seed 7  ok  9f3a...  62.1 s  1,204 operations  23 faults`. */
export function summaryLine(result: RunResult): string {
  const verdict = result.violations.length === 0 ? 'ok    ' : 'FAILED'
  const budget = result.isInBudget ? '' : '  beyond the fault budget'
  return (
    `seed ${result.seed}  ${verdict}  ${result.hash}  ${(result.virtualMs / 1000).toFixed(1)} s` +
    `  ${result.doneCount}/${result.operationCount} operations  ${result.faultCount} faults${budget}`
  )
}

/** What failed, how to see it again, and the last events. */
export function failureLines(result: RunResult, options: Omit<RunOptions, 'seed'>, eventsShownMax = 200): string[] {
  const shown = result.violations.slice(0, violationsShownMax)
  const more = result.violations.length - shown.length
  return [
    summaryLine(result),
    ...shown.map(({ checker, message }) => `  ${checker}: ${message}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    `  replay: ${replayCommand(result.seed, options)}`,
    `  last events:`,
    ...result.lines.slice(Math.max(0, result.lines.length - eventsShownMax)).map(line => `  ${line}`),
  ]
}

export function replayCommand(seed: number, options: Omit<RunOptions, 'seed'>): string {
  const flags = [
    `--seed ${seed}`,
    ...(options.nodes === undefined ? [] : [`--nodes ${options.nodes}`]),
    ...(options.scenario === undefined ? [] : [`--scenario ${options.scenario}`]),
    ...(options.faultsMs === undefined ? [] : [`--faults-ms ${options.faultsMs}`]),
    ...(options.plant === undefined ? [] : [`--plant ${options.plant}`]),
  ]
  return `npx skein sim ${flags.join(' ')}`
}

/** Virtual time over real time, with one decimal. */
export function speedOf(virtualMs: number, elapsedMs: number): number {
  return Math.round((10 * virtualMs) / Math.max(1, elapsedMs)) / 10
}

/** Sums up a batch. */
export class Tally {
  #seedCount = 0
  #operationCount = 0
  #virtualMs = 0
  readonly failedSeeds: number[] = []
  readonly #seedsWith = new Map<Occasion, number>()

  add(result: RunResult): void {
    this.#seedCount++
    this.#operationCount += result.operationCount
    this.#virtualMs += result.virtualMs
    if (result.violations.length > 0) this.failedSeeds.push(result.seed)
    for (const occasion of occasions) {
      if ((result.occasions[occasion] ?? 0) > 0) this.#seedsWith.set(occasion, (this.#seedsWith.get(occasion) ?? 0) + 1)
    }
  }

  /** What a batch of this size must have seen and has not: fails it, since it proves less than it says. */
  get unseen(): readonly Occasion[] {
    return occasions.filter(occasion => !this.#seedsWith.has(occasion))
  }

  /** `elapsedMs` is real time, of `workerCount` threads. */
  lines(elapsedMs: number, workerCount = 1): string[] {
    const speed = speedOf(this.#virtualMs, elapsedMs)
    const share = (count: number): string => `${Math.round((100 * count) / Math.max(1, this.#seedCount))} %`.padStart(5)
    return [
      `${this.#seedCount} seeds, ${this.failedSeeds.length} failed, ${this.#operationCount} operations, ` +
        `${(this.#virtualMs / 1000).toFixed(0)} s of virtual time in ${(elapsedMs / 1000).toFixed(1)} s`,
      `speed ${speed} times real time, ${speedOf(this.#virtualMs, elapsedMs * workerCount)} a thread`,
      ...occasions.map(occasion => `  ${share(this.#seedsWith.get(occasion) ?? 0)} of seeds: ${occasion}`),
      ...(this.failedSeeds.length > 0 ? [`failed seeds: ${this.failedSeeds.join(' ')}`] : []),
    ]
  }
}

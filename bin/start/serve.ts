/** One peer of `skein start`, from its settings to its end. */
import { readFileSync } from 'node:fs'
import { InvalidError } from '../../lib/base/errors.ts'
import type { Flow } from '../../lib/flow/builder.ts'
import type { AnyMessage } from '../../lib/flow/message.ts'
import { onStopOrder } from './stop-order.ts'
import type { Grid } from '../../lib/grid/handles.ts'
import { startGrid } from '../../lib/grid/join.ts'
import { isPassing } from '../../lib/grid/outcomes.ts'
import { banner, readyLine, type Opened } from './banner.ts'
import { checkDoors, openDoors } from './doors.ts'
import { flowHttpDefault, listenDefault, type StartSettings } from './flags.ts'
import { loadFlows } from './flow-files.ts'
import { noFlows, openFlows, type FlowOptions, type PeerFlows } from './flows.ts'
import { answerParent } from './holdings.ts'
import { createLog, logLevel, type Log } from './log.ts'
import { orFree } from './free-port.ts'
import { QuorumWatch } from './quorum-watch.ts'
import { shutDown, type Stopping } from './shutdown.ts'
import { loadSpools } from './spool-file.ts'

const againMs = 250

/** Resolves to the exit code when the peer has gone. Rejects with InvalidError for what a person can mend. */
export async function serve(version: string, { settings: given, ...asked }: StartSettings): Promise<number> {
  const startedMs = performance.now()
  const settings = {
    ...given,
    listen: asked.isListenDefault ? [await orFree(listenDefault)] : given.listen,
    flowHttp: asked.isFlowHttpDefault ? await orFree(flowHttpDefault) : given.flowHttp,
  }
  const log = createLog(settings.json, settings.name, logLevel(process.env['SKEIN_LOG']))
  const accessToken = settings.accessTokenFile === undefined ? undefined : tokenIn(settings.accessTokenFile)
  checkDoors(settings, accessToken)
  const loaded = await loadFlows(asked.flowFiles)
  const plans = loaded.map(({ plan }) => plan)
  const watch = new QuorumWatch()
  const grid = await startGrid(settings, {
    onEvent: event => {
      watch.event(event)
      log.event(event)
    },
  })
  const end = new Ending(log)
  const unwatch = watch.start(grid, log)
  const linkCount = (): number => watch.linkCount
  try {
    let isLoaded = false
    const leave = (): void => end.ask('asked to leave')
    const doors = await openDoors(grid, settings, accessToken, leave, () => isLoaded)
    await untilReady(grid, end.signal)
    const isIn = !end.signal.aborted
    const begun = isIn ? begin(grid, loaded, { ...asked, flowHttp: settings.flowHttp }, log, end.signal) : undefined
    const flows = await begun?.catch(async (error: unknown) => {
      // A spool may have been loaded, and partitions taken over: nothing of that may go down with a mistake in a flow.
      await goodbye({ grid, log, doors, flows: noFlows, linkCount, drainMs: 0 })
      throw error
    })
    isLoaded = true
    if (flows !== undefined) {
      const seconds = (performance.now() - startedMs) / 1000
      const files = asked.flowFiles
      tellReady({ version, grid, settings, files, plans, doors, flows, seconds }, settings.json)
    }
    let isStopped = false
    onStopOrder(grid, by => {
      isStopped = true
      end.ask(`the whole cluster stops, says ${by}`)
    })
    answerParent(grid, plans, flows)
    await end.asked
    const drainMs = isStopped || flows === undefined ? 0 : settings.drainMs
    if (isIn) await goodbye({ grid, log, doors, flows: flows ?? noFlows, linkCount, drainMs })
    else await doors.close()
    return 0
  } finally {
    unwatch()
    await grid.close()
  }
}

/**
 * What passes (too few copies before the second peer has come, a failover) is waited for: each part may be done again.
 * Undefined: told to go before that.
 */
async function begin(
  grid: Grid,
  loaded: readonly Flow<AnyMessage>[],
  options: FlowOptions,
  log: Log,
  signal: AbortSignal,
): Promise<PeerFlows | undefined> {
  for (let isTold = false; !signal.aborted;) {
    try {
      const recordCount = await loadSpools(grid)
      if (recordCount > 0) log.say('info', `loaded ${recordCount} records that the last stop left`)
      return await openFlows(grid, loaded, options)
    } catch (error) {
      if (!isPassing(error)) throw error
      if (!isTold) log.say('info', `waits to open what it was started for: ${(error as Error).message}`)
      isTold = true
      await new Promise(resolve => setTimeout(resolve, againMs))
    }
  }
  return undefined
}

/** For ever: peers may be started in any order, and long after one another. */
async function untilReady(grid: Grid, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !grid.status().isReady) await grid.ready({ deadline: '1h', signal }).catch(() => undefined)
}

async function goodbye(stopping: Stopping): Promise<void> {
  stopping.log.say('info', await shutDown(stopping))
}

function tellReady(opened: Opened, isJson: boolean): void {
  process.stdout.write(isJson ? `${JSON.stringify(readyLine(opened))}\n` : `${banner(opened)}\n`)
}

/** Why and when to go: the first signal asks, a second one ends the process at once. */
class Ending {
  readonly asked: Promise<void>
  readonly #abort = new AbortController()
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
    this.asked = new Promise(resolve => this.signal.addEventListener('abort', () => resolve(), { once: true }))
    for (const name of ['SIGTERM', 'SIGINT'] as const)
      process.on(name, () => {
        if (this.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143)
        this.ask(name === 'SIGINT' ? 'Ctrl-C' : name)
      })
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  ask(why: string): void {
    if (this.signal.aborted) return
    this.#log.say('info', `${why}: closing sources, handing over; once more ends at once`)
    this.#abort.abort()
  }
}

function tokenIn(path: string): string {
  try {
    const token = readFileSync(path, 'utf8').trim()
    if (token !== '') return token
  } catch (error) {
    throw new InvalidError(
      `the access token file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  throw new InvalidError(`the access token file ${path} is empty`)
}

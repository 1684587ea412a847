/**
 * `skein sim`: whole clusters in virtual time, one seed each. The same seed and options give the same run bit for bit:
 * `hash` folds every event of it. `speed` is virtual time over real time, `speedAlone` over the time that the simulating
 * thread worked, which other load on the machine changes less. Exit 0 all passed, 1 a seed failed (or a batch never saw
 * what it must).
 */
import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { Command, InvalidArgumentError, Option } from 'commander'
import { failureLines, speedOf, summaryLine, Tally } from '../sim/report.ts'
import type { RunOptions, RunResult } from '../sim/run.ts'
import { plantNames, scenarioNames, type PlantName, type ScenarioName } from '../sim/scenarios.ts'

interface SimFlags {
  readonly seed?: number
  readonly seeds?: readonly [from: number, to: number]
  readonly nodes?: number
  readonly scenario: ScenarioName
  readonly faultsMs?: number
  readonly plant?: PlantName
  readonly workers?: number
  readonly json?: boolean
}

/** Batches from this size on must have seen every occasion; smaller ones may be unlucky. */
const occasionsDemandedFrom = 100

export function simVerb(): Command {
  return new Command('sim')
    .description('simulate whole clusters under faults, in virtual time')
    .addOption(new Option('--seed <n>', 'one run; default 1').argParser(wholeNumber))
    .addOption(new Option('--seeds <from..to>', 'many runs, both ends included, on all cores').argParser(range))
    .addOption(new Option('--nodes <n>', 'machines, 1 to 50; drawn by the seed if not given').argParser(between(1, 50)))
    .addOption(new Option('--scenario <name>', 'which faults').choices(scenarioNames).default('random'))
    .addOption(
      new Option('--faults-ms <ms>', 'length of the fault phase, up to 3600000; default 60000').argParser(
        between(1, 3_600_000),
      ),
    )
    .addOption(new Option('--plant <bug>', 'break the code on purpose, to see it caught').choices(plantNames))
    .addOption(
      new Option('--workers <n>', 'threads of a batch, up to 256; default all cores').argParser(between(1, 256)),
    )
    .option('--json', 'print one JSON object a run')
    .action(async (flags: SimFlags) => {
      process.exitCode = (await (flags.seeds === undefined ? one(flags) : many(flags, flags.seeds))) ? 0 : 1
    })
}

async function one(flags: SimFlags): Promise<boolean> {
  warmUpEarly()
  const { runSeed } = await import('../sim/run.ts')
  const options = runOptions(flags)
  const startedMs = performance.now()
  const beforeMs = processorMs()
  const result = await runSeed({ ...options, seed: flags.seed ?? 1 })
  const elapsedMs = performance.now() - startedMs
  const speedAlone = speedOf(result.virtualMs, processorMs() - beforeMs)
  report(flags, options, result, { speed: speedOf(result.virtualMs, elapsedMs), speedAlone })
  if (flags.json !== true && result.violations.length === 0) {
    print(`hash ${result.hash}`)
    print(`speed ${speedOf(result.virtualMs, elapsedMs)} times real time, ${speedAlone} with a core of its own`)
  }
  return result.violations.length === 0
}

async function many(flags: SimFlags, [fromSeed, toSeed]: readonly [number, number]): Promise<boolean> {
  warmUpEarly()
  const { runBatch } = await import('../sim/batch.ts')
  const options = runOptions(flags)
  const tally = new Tally()
  const workerCount = Math.min(flags.workers ?? availableParallelism(), toSeed - fromSeed + 1)
  const nowMs = (): number => performance.now()
  const startedMs = nowMs()
  await runBatch({ ...options, fromSeed, toSeed, workerCount, nowMs }, (result, elapsedMs) => {
    tally.add(result)
    report(flags, options, result, { speed: speedOf(result.virtualMs, elapsedMs) })
  })
  const isUnseen =
    flags.scenario === 'random' && toSeed - fromSeed + 1 >= occasionsDemandedFrom && tally.unseen.length > 0
  if (flags.json !== true) print(tally.lines(nowMs() - startedMs, workerCount).join('\n'))
  if (isUnseen) print(`never seen in this batch, so it proves too little: ${tally.unseen.join(', ')}`)
  return tally.failedSeeds.length === 0 && !isUnseen
}

/** A run is over before Node has found out which functions are hot: compiling all of them at once, cheaply, is a tenth faster. */
function warmUpEarly(): void {
  setFlagsFromString('--always-sparkplug')
}

/** What the simulating thread has worked: on a busy machine less than what passed. Of all threads where Node 22 tells no more. */
function processorMs(): number {
  const { threadCpuUsage = process.cpuUsage } = process as Partial<Pick<NodeJS.Process, 'threadCpuUsage'>>
  const { user, system } = threadCpuUsage.call(process)
  return (user + system) / 1_000
}

function report(
  flags: SimFlags,
  options: Omit<RunOptions, 'seed'>,
  result: RunResult,
  speeds: { readonly speed: number; readonly speedAlone?: number },
): void {
  if (flags.json === true) {
    const { lines, ...rest } = result
    const run = { ...rest, ...speeds }
    print(JSON.stringify(result.violations.length > 0 ? { ...run, lines } : run))
  } else {
    print(result.violations.length > 0 ? failureLines(result, options).join('\n') : summaryLine(result))
  }
}

function runOptions({ nodes, scenario, faultsMs, plant }: SimFlags): Omit<RunOptions, 'seed'> {
  return { nodes, scenario, faultsMs, plant }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('give a whole number')
  return Number(text)
}

function between(least: number, most: number): (text: string) => number {
  return text => {
    const value = wholeNumber(text)
    if (value < least || value > most) throw new InvalidArgumentError(`give a whole number from ${least} to ${most}`)
    return value
  }
}

function range(text: string): readonly [number, number] {
  const match = /^(\d{1,15})\.\.(\d{1,15})$/.exec(text)
  if (match === null || Number(match[1]) > Number(match[2]))
    throw new InvalidArgumentError('give FROM..TO, e.g. 1..1000')
  return [Number(match[1]), Number(match[2])]
}

/**
 * `npm run chaos -- kill --trials 50`: trials on real processes over real libp2p, seen from outside alone. Each verb is one
 * of them; exit 1 if anything was lost, doubled, or slower than promised. `--keep` leaves the logs.
 */
import { Command } from 'commander'
import { aggregate } from './aggregate.ts'
import { deaths } from './deaths.ts'
import { restart } from './restart.ts'
import { garbage } from './garbage.ts'
import { hangUp } from './http.ts'
import { memory } from './memory.ts'
import { render, type Summary } from './summary.ts'

const tell = (line: string): void => void process.stdout.write(`${line}\n`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

function conclude(summary: Summary): void {
  tell(render(summary))
  hangUp()
  if (!summary.isPassed) process.exitCode = 1
}

const program = new Command('chaos').description('kills, stops, restarts and garbage at real peers')

for (const kind of ['kill', 'stop'] as const)
  program
    .command(kind)
    .description(kind === 'kill' ? 'SIGKILL to one of three under load' : 'SIGSTOP for 5 s, then SIGCONT')
    .option('--trials <n>', 'how many', Number, 10)
    .option('--keep', 'leave logs')
    .action(async ({ trials, keep }: { trials: number; keep?: true }) => {
      conclude(await deaths({ kind, trials, isKept: keep === true, tell }))
    })

const others = {
  aggregate: [aggregate, 'halves of pairs come in at two peers, one of three dies between them'],
  garbage: [garbage, 'what is not for a peer, on each of its ports'],
  restart: [restart, 'SIGTERM to all at once, and one after the other, and start again'],
} as const

for (const [name, [run, description]] of Object.entries(others))
  program
    .command(name)
    .description(description)
    .option('--trials <n>', 'how many', Number, 3)
    .option('--keep', 'leave logs')
    .action(async ({ trials, keep }: { trials: number; keep?: true }) => {
      conclude(await run({ trials, isKept: keep === true, tell }))
    })

program
  .command('memory')
  .description('fill to the budget, each process within its memory, kill one, drain')
  .option('--trials <n>', 'how many', Number, 1)
  .option('--memory <size>', 'budget of each peer', '154MB')
  .option('--process-mb <n>', 'what a process may take, resident', Number, 512)
  .option('--heap-mb <n>', "V8's limit", Number, 256)
  .option('--body <bytes>', 'length of a message', Number, 8 * 1024)
  .option('--keep', 'leave logs')
  .action(async ({ keep, ...options }: { trials: number; keep?: true }) => {
    conclude(await memory({ ...options, isKept: keep === true, tell }))
  })

await program.parseAsync()

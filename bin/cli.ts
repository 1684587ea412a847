/** The command line: arguments to verbs, one file per verb. */
import { Command, CommanderError } from 'commander'
import { deadVerb } from './dead.ts'
import { demoVerb } from './demo.ts'
import { exitCodeOf } from './failure.ts'
import { leaveVerb, stopVerb } from './leave.ts'
import { recoverVerb } from './recover.ts'
import { queueVerb } from './queue.ts'
import { simVerb } from './sim.ts'
import { startVerb } from './start.ts'
import { statusVerb } from './status.ts'
import { version } from './version.ts'

/** Runs `skein ...args`; resolves to the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command('skein')
    .description('High availability for TypeScript integration services, with nothing else to run')
    .version(await version())
  const verbs = [
    startVerb(),
    demoVerb(),
    statusVerb(),
    leaveVerb(),
    stopVerb(),
    recoverVerb(),
    queueVerb(),
    deadVerb(),
    simVerb(),
  ]
  for (const verb of verbs) program.addCommand(verb)
  exitByThrowing(program)
  try {
    await program.parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    return exitCodeOf(error)
  }
}

function exitByThrowing(command: Command): void {
  command.exitOverride()
  for (const child of command.commands) exitByThrowing(child)
}

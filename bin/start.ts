/** `skein start`: one peer with its flows and doors, until a signal ends it. */
import { Command } from 'commander'
import { exitCodeOf } from './failure.ts'
import { addFlags, readSettings } from './start/flags.ts'
import { version } from './version.ts'

export function startVerb(): Command {
  return addFlags(new Command('start').description('start one peer, with the flows of the given files'))
    .argument('[flows...]', 'TypeScript or JavaScript files whose default export is a flow')
    .action(async (files: readonly string[], given: Readonly<Record<string, unknown>>) => {
      const settings = readSettings(given, files, process.env)
      // Late: libp2p takes most of a second to load, and wrong flags should not wait for it.
      const { serve } = await import('./start/serve.ts')
      // Not left to an empty event loop: a link that somebody else keeps open must not keep the process.
      process.exit(await serve(await version(), settings).catch(exitCodeOf))
    })
}

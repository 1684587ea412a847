/** The command line: arguments to verbs, one file per verb. */
import { Command, CommanderError } from 'commander'
import { readFile } from 'node:fs/promises'

/** Runs `skein ...args`; resolves to the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command('skein')
    .description('High availability for TypeScript integration services, with nothing else to run')
    .version(await version())
    .exitOverride()
  try {
    await program.parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    throw error
  }
}

/** The version in the nearest package.json: two folders up from the emitted file, one from the source. */
async function version(): Promise<string> {
  for (const path of ['../package.json', '../../package.json']) {
    const text = await readFile(new URL(path, import.meta.url), 'utf8').catch(() => undefined)
    if (text !== undefined) return (JSON.parse(text) as { version: string }).version
  }
  throw new Error('no package.json beside the program')
}

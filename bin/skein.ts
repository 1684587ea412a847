#!/usr/bin/env node
/**
 * The `skein` command: refuses a Node that is too old in one line, else hands the arguments to `cli.ts`.
 *
 * Decision: everything but the version check is behind a dynamic import, because an old Node already fails to parse or link the rest, with a
 * message that does not say why.
 */
import { refusal } from './engine.ts'

const args = process.argv.slice(2)
// Whoever read has seen enough, as in `skein ... | head`: a peer serves on, any other verb has nobody to work for.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    if (args[0] !== 'start') process.exit()
  })
const reason = refusal(process.versions.node, args)
if (reason === undefined) {
  const { main } = await import('./cli.ts')
  process.exitCode = await main(args)
} else {
  process.stderr.write(`${reason}\n`)
  process.exitCode = 2
}

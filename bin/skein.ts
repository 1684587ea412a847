#!/usr/bin/env node
/**
 * The `skein` command: refuses a Node that is too old in one line, else hands the arguments to `cli.ts`.
 *
 * Decision: everything but the version check is behind a dynamic import, because an old Node already fails to parse or link the rest, with a
 * message that does not say why.
 */
import { refusal } from './engine.ts'

const args = process.argv.slice(2)
const reason = refusal(process.versions.node, args)
if (reason === undefined) {
  const { main } = await import('./cli.ts')
  process.exitCode = await main(args)
} else {
  process.stderr.write(`${reason}\n`)
  process.exitCode = 2
}

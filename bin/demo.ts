/** `skein demo`: kills peers of a small cluster under load and counts what came of it. Exit 1 if anything was lost or doubled. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { InvalidError } from '../lib/base/errors.ts'
import { VerbError } from './admin.ts'
import type { DemoResult } from './demo/run.ts'
import { version } from './version.ts'

interface DemoFlags {
  readonly messages: number
  readonly input?: string
  readonly out?: string
  readonly json?: boolean
}

const messagesDefault = 20_000
const messagesMax = 10_000_000

export function demoVerb(): Command {
  return new Command('demo')
    .description('three peers, two producers, two kill -9: nothing lost, nothing doubled')
    .addOption(new Option('--messages <n>', 'deliveries, of two halves each').argParser(count).default(messagesDefault))
    .option('--input <file>', 'NDJSON to deliver instead of real webhooks: payloads, or { event, payload }')
    .option('--out <folder>', 'leave accepted.ndjson and deliveries*.ndjson there, to be recounted')
    .option('--json', 'print one JSON object at the end, and nothing else')
    .action(async (flags: DemoFlags) => {
      process.exitCode = (await demo(flags)) ? 0 : 1
    })
}

async function demo({ messages, input, out, json = false }: DemoFlags): Promise<boolean> {
  const tell = (line: string): void => {
    if (!json) process.stdout.write(`${line}\n`)
  }
  const what = input === undefined ? 'from real webhooks' : `from ${input}`
  const folder = out === undefined ? await mkdtemp(join(tmpdir(), 'skein-demo-')) : await cleared(out)
  tell(`skein ${await version()} · 3 peers on this machine · ${figure(messages)} deliveries ${what}`)
  const { runDemo } = await import('./demo/run.ts')
  const result = await runDemo({ messages, input: input && resolve(input), folder, tell }).catch((error: unknown) => {
    throw new VerbError(`${error instanceof Error ? error.message : String(error)}; logs and output lie in ${folder}`)
  })
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else tell(summary(result, out))
  if (out === undefined && result.isPassed) await rm(folder, { recursive: true, force: true })
  return result.isPassed
}

/** Only what an earlier demo left may be there, and goes. */
async function cleared(out: string): Promise<string> {
  const folder = resolve(out)
  const names = await mkdir(folder, { recursive: true })
    .then(() => readdir(folder))
    .catch((error: unknown) => {
      throw new InvalidError(`--out ${out}: ${error instanceof Error ? error.message : String(error)}`)
    })
  const strange = names.find(name => !/^(accepted\.ndjson|deliveries.*|goose-\d\.log|\.skein.*)$/.test(name))
  if (strange !== undefined) throw new InvalidError(`--out ${out} holds ${strange}: give a new or empty folder`)
  for (const name of names) await rm(join(folder, name), { recursive: true, force: true })
  return folder
}

function summary(result: DemoResult, out: string | undefined): string {
  const { sent, accepted, failed, whole, written, lost, writtenTwice, strange, retries } = result
  const lines = [
    '',
    `  halves sent ${figure(sent)} · accepted ${figure(accepted)} · joined ${figure(whole)} · written ${figure(written)}`,
    `  LOST ${lost} · WRITTEN TWICE ${writtenTwice} · worst gap ${result.worstGap.toFixed(2)} s · ` +
      `${figure(result.messagesPerSecond)} msg/s · retries the clients made ${retries}`,
    `  from acceptance to output, where a death came between: at most ${result.worstRecovery.toFixed(2)} s`,
  ]
  if (failed > 0) lines.push(`  ${failed} requests were accepted by no peer within a minute`)
  if (strange > 0) lines.push(`  ${strange} lines of the output belong to nothing that was accepted`)
  if (out !== undefined) lines.push(`  Recount it: ${join(out, 'accepted.ndjson')}, ${join(out, 'deliveries*.ndjson')}`)
  if (!result.isPassed) lines.push(`  FAILED: logs and output lie in ${result.folder}`)
  lines.push('  Next:  skein start my-flow.ts   ·   skein sim --seed 7')
  return lines.join('\n')
}

function figure(count: number): string {
  return count.toLocaleString('en-US')
}

function count(text: string): number {
  const value = /^\d{1,8}$/.test(text) ? Number(text) : NaN
  if (!(value >= 1 && value <= messagesMax))
    throw new InvalidArgumentError(`give a whole number from 1 to ${messagesMax}`)
  return value
}

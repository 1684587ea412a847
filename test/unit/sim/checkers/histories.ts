/** Reads the recorded histories of other systems: Jepsen's logs of one register, and EDN lines of a string store. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { checkEach, checkOne, type Call, type Model, type Verdict } from '../../../../sim/checkers/linearizability.ts'
import { registerModel, type RegisterInput, type RegisterOutput } from '../../../../sim/checkers/register.ts'

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type RegisterCall = Call<RegisterInput, RegisterOutput>

/** The verdict of ours on one file. */
export function verdictOf(path: string): Verdict {
  const text = readFileSync(path, 'utf8')
  if (path.endsWith('.log')) return checkOne(registerModel, etcdCalls(text))
  return checkEach(stringModel, storeCalls(text)).verdict
}

/** File and expected verdict, of a folder and its `verdicts.tsv`. */
export function knownVerdicts(folder: string): { readonly path: string; readonly isLinearizable: boolean }[] {
  const files = new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map(path => [path.replace(/^.*\//, ''), path]),
  )
  return readFileSync(join(folder, 'verdicts.tsv'), 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map(line => line.split('\t') as [string, string])
    .map(([file, verdict]) => ({ path: join(folder, files.get(file) ?? file), isLinearizable: verdict === 'true' }))
}

export function etcdCalls(text: string): RegisterCall[] {
  const calls: Writable<RegisterCall>[] = []
  const open = new Map<string, Writable<RegisterCall>>()
  text.split('\n').forEach((line, at) => {
    const [, client, type, verb, value] = /- (\d+)\s+:(\w+)\s+:(\w+)\s+(.+)$/.exec(line) ?? []
    if (client === undefined || verb === undefined || value === undefined) return
    const call = open.get(client)
    if (type === 'invoke') {
      const made = { calledAt: at, returnedAt: Infinity, input: inputOf(verb, value), output: undefined }
      open.set(client, made)
      calls.push(made)
    } else if (call !== undefined && type !== 'info') {
      call.returnedAt = at
      call.output = outputOf(verb, value, type === 'fail')
      open.delete(client)
    }
  })
  return calls.filter(call => call.output !== undefined || call.input.kind !== 'read')
}

function inputOf(verb: string, value: string): RegisterInput {
  if (verb === 'read') return { kind: 'read' }
  if (verb === 'write') return { kind: 'write', value }
  const [expected, next] = value.slice(1, -1).split(' ') as [string, string]
  return { kind: 'swap', expected, value: next }
}

function outputOf(verb: string, value: string, isFailed: boolean): RegisterOutput {
  if (verb === 'read') return { kind: 'read', value: value === 'nil' ? undefined : value }
  return isFailed ? { kind: 'mismatch' } : { kind: 'written' }
}

interface StringInput {
  readonly verb: 'get' | 'put' | 'append'
  readonly value: string
}

const stringModel: Model<string, StringInput, string> = {
  initial: '',
  step: (state, input, output) => {
    if (input.verb === 'get') return output === state ? state : undefined
    return input.verb === 'put' ? input.value : state + input.value
  },
  key: state => state,
}

function storeCalls(text: string): Map<string, Call<StringInput, string>[]> {
  const histories = new Map<string, Writable<Call<StringInput, string>>[]>()
  const open = new Map<string, Writable<Call<StringInput, string>>>()
  text.split('\n').forEach((line, at) => {
    const [, client, type, verb, key, value] =
      /:process (\d+), :type :(\w+), :f :(\w+), :key "(.*?)", :value (?:"(.*)"|nil)/.exec(line) ?? []
    if (client === undefined || key === undefined) return
    const call = open.get(client)
    if (type === 'invoke') {
      const input = { verb: verb as StringInput['verb'], value: value ?? '' }
      const made = { calledAt: at, returnedAt: Infinity, input, output: undefined }
      open.set(client, made)
      histories.set(key, [...(histories.get(key) ?? []), made])
    } else if (call !== undefined) {
      call.returnedAt = at
      call.output = value ?? ''
    }
  })
  return histories
}

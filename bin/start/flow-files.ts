/** Loads the flows that `skein start` was given: the default export of each file, TypeScript or JavaScript. */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { InvalidError } from '../../lib/base/errors.ts'
import type { Flow } from '../../lib/flow/builder.ts'
import type { AnyMessage } from '../../lib/flow/message.ts'

/** Throws InvalidError that names the file and what is wrong with it. */
export async function loadFlows(files: readonly string[]): Promise<readonly Flow<AnyMessage>[]> {
  const flows: Flow<AnyMessage>[] = []
  for (const file of files) {
    const flow = flowIn(file, await imported(file))
    if (flows.some(({ name }) => name === flow.name))
      throw new InvalidError(`${file}: flow ${flow.name} is in another file, too`)
    flows.push(flow)
  }
  return flows
}

async function imported(file: string): Promise<unknown> {
  const path = resolve(file)
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw new InvalidError(`${file}: no such file`)
  if (!found.isFile()) throw new InvalidError(`${file} is no file: give each flow's own`)
  try {
    const module = (await import(pathToFileURL(path).href)) as { readonly default?: unknown }
    return module.default
  } catch (error) {
    if (!(error instanceof Error)) throw error
    throw new InvalidError(`${file} cannot be loaded: ${error.message}${placeIn(error, path)}`, { cause: error })
  }
}

function flowIn(file: string, exported: unknown): Flow<AnyMessage> {
  // By shape: the file may have loaded a second copy of the library.
  if (isObject(exported) && 'nodes' in exported && 'plan' in exported) return exported as Flow<AnyMessage>
  const found =
    exported === undefined ? 'nothing by default' : `${exported === null ? 'null' : typeof exported} by default`
  throw new InvalidError(`${file} exports ${found}, and must end in: export default flow('name').from(...)...`)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** The first line of the stack that lies in the file, e.g. ' (at orders.ts:12:3)'. */
function placeIn(error: Error, path: string): string {
  const place = error.stack?.split('\n').find(line => line.includes(path))
  const at = place?.match(/([^/\\]+:\d+(?::\d+)?)\)?$/)?.[1]
  return at === undefined ? '' : ` (at ${at})`
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'

const log = join(import.meta.dirname, '..', '..', '..', 'bin', 'start', 'log.ts')
const lineCount = 50_000

/** Says far more lines than are kept, then that it has; says one more once it hears something, and ends. */
const script = (isJson: boolean): string => `
  import { createLog } from ${JSON.stringify(log)}
  const { say } = createLog(${isJson}, 'goose-1')
  for (let i = 0; i < ${lineCount}; i++) say('info', 'line ' + i)
  process.stdout.write('said\\n')
  process.stdin.once('data', () => {
    say('info', 'the last one')
    process.stdin.destroy()
  })
`

test.for([false, true])('a reader of stderr that stands still stops nothing (json: %s)', async isJson => {
  const args = ['--input-type=module', '--eval', script(isJson)]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  // Nobody reads stderr until here.
  await once(createInterface({ input: child.stdout }), 'line')
  let text = ''
  const told = new Promise<void>(resolve => {
    child.stderr.on('data', (piece: Buffer) => {
      text += String(piece)
      if (text.includes('lines were dropped')) resolve()
    })
  })
  await told
  child.stdin.write('go on')
  await closed
  const count = Number(
    /lines were dropped.*?count=(\d+)|"count":(\d+),"msg":"lines were dropped/.exec(text)?.slice(1).join(''),
  )
  const lines = text.trimEnd().split('\n')
  expect(lines.filter(line => /line \d+/.test(line)).length + count).toBe(lineCount)
  expect(lines.at(-1)).toContain('the last one')
})

/** The trials of `npm run chaos`, short: what was acknowledged outlives a peer, and pairs come out once. Times are told there. */
import { afterAll, expect, test } from 'vitest'
import { aggregate } from '../chaos/aggregate.ts'
import { deaths } from '../chaos/deaths.ts'
import { garbage } from '../chaos/garbage.ts'
import { hangUp } from '../chaos/http.ts'

const tell = (): void => undefined
const timeoutMs = 120_000

afterAll(hangUp)

test(
  'a peer killed under load takes nothing with it that was acknowledged, and is a backup again by itself',
  async () => {
    const load = { httpLanes: 3, respLanes: 3, thinkMs: 20 }
    const { problems, figures } = await deaths({ kind: 'kill', trials: 1, load, aroundMs: 700, tell })
    expect(problems).toEqual([])
    expect(figures['acknowledged']).toBeGreaterThan(50)
  },
  timeoutMs,
)

test(
  'pairs whose halves came in on both sides of a death are released once, and whole',
  async () => {
    const { problems } = await aggregate({ trials: 1, tell })
    expect(problems).toEqual([])
  },
  timeoutMs,
)

test(
  'what is not for a peer is refused on each of its ports with one line in the log, and hurts nobody',
  async () => {
    const { problems } = await garbage({ trials: 1, flood: 100, tell })
    expect(problems).toEqual([])
  },
  timeoutMs,
)
